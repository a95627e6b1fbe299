package main

// figures are the targets that a package's own benchmark measures.
var figures = []figure{}
