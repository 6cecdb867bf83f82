// Empty: where a package has an assembly file, Go takes functions without a body, of which runtime.go has some.
