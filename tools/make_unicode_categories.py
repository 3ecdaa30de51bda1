#!/usr/bin/env python3
"""Write src/text/unicode_categories.inc: where the general category of code points changes.

    make_unicode_categories.py > src/text/unicode_categories.inc

Needs the PyPI package unicodedata2 16.0.0, which carries the Unicode Character Database 16.0. The tables are
pinned so that a text gives the same ids on every machine, whatever its libraries' Unicode version.
"""
import sys

import unicodedata2

if unicodedata2.unidata_version != "16.0.0":
    sys.exit(f"unicodedata2 has Unicode {unicodedata2.unidata_version}, expected 16.0.0")

print("// Unicode 16.0.0, UnicodeData.txt: first code point of each run of one general category.")
print("// Written by tools/make_unicode_categories.py.")
line, previous = "", None
for code_point in range(0x110000):
    category = unicodedata2.category(chr(code_point))
    if category == previous:
        continue
    previous = category
    entry = f"{{0x{code_point:X}, k{category}}},"
    if len(line) + len(entry) + 1 > 100:
        print(line)
        line = ""
    line += (" " if line else "") + entry
print(line)
