// Package runtime gives memory to the bindings that wit-bindgen-go 0.63 writes, and to the host for what it passes in.
// Memory that has an address outside of Go is pinned, so that the garbage collector leaves it where it is.
package runtime

import (
	"runtime"
	"unsafe"
)

// Word is the size that every alignment of the component model divides.
const word = 8

// Allocate returns memory for size bytes, for as long as it is pinned.
func Allocate(pinner *runtime.Pinner, size, align uintptr) unsafe.Pointer {
	if size == 0 {
		return nil
	}
	if align > word {
		panic("no type of the component model has an alignment of more than 8")
	}
	// Words hold no pointers, so what lies in them keeps nothing alive.
	memory := unsafe.Pointer(unsafe.SliceData(make([]uint64, (size+word-1)/word)))
	pinner.Pin(memory)
	return memory
}

// What the host passed in with the call that is running.
var passed runtime.Pinner

// Unpin lets go of what was passed in, once the bindings have read it.
func Unpin() { passed.Unpin() }

// Whether Go's runtime has started. The WASI adapter asks for memory before.
var started bool

func init() { started = true }

//go:wasmexport cabi_realloc
func realloc(old unsafe.Pointer, oldSize, align, size uintptr) unsafe.Pointer {
	if old != nil || oldSize != 0 {
		panic("the host only asks for new memory")
	}
	if !started {
		return fromTheSystem(align, size)
	}
	// The garbage collector reads the clock, and nothing may be imported while the host asks for memory.
	pauseClock(true)
	memory := Allocate(&passed, size, align)
	pauseClock(false)
	return memory
}

func fromTheSystem(align, size uintptr) unsafe.Pointer {
	memory := sbrk(size + align - 1)
	return unsafe.Add(memory, -uintptr(memory)&(align-1))
}

// The adapter answers with the time that it knows, without asking for it.
//
//go:wasmimport wasi_snapshot_preview1 adapter_monotonic_clock_set_paused
func pauseClock(paused bool)

//go:linkname sbrk runtime.sbrk
func sbrk(size uintptr) unsafe.Pointer
