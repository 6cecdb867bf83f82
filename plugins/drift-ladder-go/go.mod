module policy

go 1.25

require (
	go.bytecodealliance.org/pkg v0.2.3
	wit_component v0.0.0
)

// Written by `trimtab policy build`; here for editors.
replace (
	go.bytecodealliance.org/pkg => ./build/go-pkg
	wit_component => ./build/go
)
