"""Which language a file is written in, told by its name alone."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

_EXTENSIONS: Final = {
    "Ada": "adb ads",
    "Assembly": "asm s",
    "Batch": "bat cmd",
    "C": "c h",
    "C#": "cs",
    "C++": "cc cpp cxx hh hpp hxx",
    "CMake": "cmake",
    "CSS": "css",
    "Clojure": "clj cljc cljs edn",
    "CoffeeScript": "coffee",
    "Common Lisp": "lisp lsp",
    "Crystal": "cr",
    "Cuda": "cu cuh",
    "D": "d",
    "Dart": "dart",
    "Elixir": "ex exs",
    "Elm": "elm",
    "Emacs Lisp": "el",
    "Erlang": "erl hrl",
    "F#": "fs fsi fsx",
    "Fortran": "f f03 f08 f90 f95 for",
    "GLSL": "frag glsl vert",
    "Go": "go",
    "GraphQL": "gql graphql",
    "Groovy": "gradle groovy",
    "HCL": "hcl tf tfvars",
    "HTML": "htm html xhtml",
    "Haskell": "hs lhs",
    "JSON": "json jsonc",
    "Java": "java",
    "JavaScript": "cjs js jsx mjs",
    "Julia": "jl",
    "Jupyter Notebook": "ipynb",
    "Kotlin": "kt kts",
    "Less": "less",
    "Lua": "lua",
    "Markdown": "markdown md mdx",
    "Nim": "nim",
    "Nix": "nix",
    "OCaml": "ml mli",
    "Objective-C": "m mm",
    "PHP": "php",
    "Pascal": "dpr pas pp",
    "Perl": "pl pm",
    "PowerShell": "ps1 psm1",
    "Prolog": "pro prolog",
    "Protocol Buffers": "proto",
    "Python": "py pyi pyw pyx",
    "R": "r rmd",
    "Racket": "rkt",
    "Ruby": "erb gemspec rake rb",
    "Rust": "rs",
    "SQL": "sql",
    "Sass": "sass scss",
    "Scala": "sbt sc scala",
    "Scheme": "scm ss",
    "Shell": "bash fish sh zsh",
    "Solidity": "sol",
    "Svelte": "svelte",
    "Swift": "swift",
    "TOML": "toml",
    "Tcl": "tcl",
    "TeX": "bib sty tex",
    "TypeScript": "cts mts ts tsx",
    "VHDL": "vhd vhdl",
    "Verilog": "sv svh v",
    "Vim Script": "vim",
    "Visual Basic": "vb",
    "Vue": "vue",
    "XML": "xml xsd xsl xslt",
    "YAML": "yaml yml",
    "Zig": "zig",
    "reStructuredText": "rst",
}
_FILE_NAMES: Final = {
    "cmakelists.txt": "CMake",
    "containerfile": "Dockerfile",
    "dockerfile": "Dockerfile",
    "gemfile": "Ruby",
    "gnumakefile": "Makefile",
    "jenkinsfile": "Groovy",
    "makefile": "Makefile",
    "rakefile": "Ruby",
}
_LANGUAGE_OF: Final = {
    extension: language for language, extensions in _EXTENSIONS.items() for extension in extensions.split()
}


def language_of(path: str) -> str | None:
    """The language of the file at `path`; None for what is not written by hand or not known."""
    name = PurePosixPath(path).name.lower()
    return _FILE_NAMES.get(name) or _LANGUAGE_OF.get(name.rpartition(".")[2] if "." in name else "")
