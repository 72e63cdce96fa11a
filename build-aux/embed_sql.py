#!/usr/bin/env python3
"""Turns .sql files into C string constants: embed_sql.py OUT.c OUT.h FILE.sql...

The constant of some-file.sql is gw_sql_some_file. Two files with the same stem are an error.
"""
import pathlib
import re
import sys


def c_string(text):
    out = []
    for line in text.splitlines(keepends=True):
        escaped = (line.replace("\\", "\\\\").replace('"', '\\"')
                   .replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
                   .replace("??", "?\\?"))
        out.append('    "' + escaped + '"')
    return "\n".join(out) if out else '    ""'


def main():
    out_c, out_h, *inputs = (pathlib.Path(a) for a in sys.argv[1:])
    seen = {}
    for path in inputs:
        name = "gw_sql_" + re.sub(r"\W", "_", path.stem)
        if name in seen:
            sys.exit(f"embed_sql: {path} and {seen[name]} both become {name}: rename one")
        seen[name] = path
    guard = "/* Made by build-aux/embed_sql.py from the .sql files; do not edit. */\n"
    declarations = "".join(f"extern const char {name}[];\n" for name in seen)
    out_h.write_text(guard + "#pragma once\n" + declarations)
    body = [guard + '#include "sql_embedded.h"\n']
    for name, path in seen.items():
        text = path.read_text(encoding="utf-8")
        if "\0" in text:
            sys.exit(f"embed_sql: {path} holds a NUL byte")
        body.append(f"/* {path.name} */\nconst char {name}[] =\n{c_string(text)};\n")
    out_c.write_text("\n".join(body))


main()
