// Package types has WIT's option and result as Go has them in bindings that wit-bindgen-go 0.63 writes. The contract with
// the host uses no others: no tuples, streams or futures.
package types

const (
	OptionNone = 0
	OptionSome = 1
	ResultOk   = 0
	ResultErr  = 1
)

// Option is a value that may be missing.
type Option[T any] struct {
	tag   uint8
	value T
}

func Some[T any](value T) Option[T] { return Option[T]{OptionSome, value} }

func None[T any]() Option[T] { return Option[T]{} }

func (option Option[T]) Tag() uint8 { return option.tag }

func (option Option[T]) IsSome() bool { return option.tag == OptionSome }

func (option Option[T]) IsNone() bool { return option.tag == OptionNone }

// Some is the value; it panics where there is none.
func (option Option[T]) Some() T {
	if option.IsNone() {
		panic("the option has no value")
	}
	return option.value
}

// SomeOr is the value, or another where there is none.
func (option Option[T]) SomeOr(other T) T {
	if option.IsNone() {
		return other
	}
	return option.value
}

// Result is an answer or an error.
type Result[T any, E any] struct {
	tag    uint8
	answer T
	err    E
}

func Ok[T any, E any](answer T) Result[T, E] { return Result[T, E]{tag: ResultOk, answer: answer} }

func Err[T any, E any](err E) Result[T, E] { return Result[T, E]{tag: ResultErr, err: err} }

func (result Result[T, E]) Tag() uint8 { return result.tag }

func (result Result[T, E]) IsOk() bool { return result.tag == ResultOk }

func (result Result[T, E]) IsErr() bool { return result.tag == ResultErr }

// Ok is the answer; it panics where there is an error.
func (result Result[T, E]) Ok() T {
	if result.IsErr() {
		panic("the result is an error")
	}
	return result.answer
}

// Err is the error; it panics where there is an answer.
func (result Result[T, E]) Err() E {
	if result.IsOk() {
		panic("the result is no error")
	}
	return result.err
}
