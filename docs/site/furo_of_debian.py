# SPDX-License-Identifier: MIT
"""Mends Furo as Debian packages it.

Debian builds Furo without its bundler. Its script then begins with an `import`, which a browser refuses in a script that
is no module, and does not understand in one: no menu, no choice of a scheme. Its style sheet was compiled by sassc, which
drops a media query inside of another one: what the system prefers is not asked. And the style sheet loads another one:
in Debian 12 from /javascript, where Debian's web servers have it and no other, later from where only the bundler finds
it. With a Furo that was bundled there is nothing to do, and nothing is done.
"""

import os
import re

IMPORT = re.compile(r'^import (?:\* as )?Gumshoe from "\./(gumshoe-patched\.js)";$', re.M)
STYLES = re.compile(r'^@import (?:url\(/javascript/normalize\.css/normalize\.css\)|"~normalize\.css");$', re.M)
NORMALIZE = '/usr/share/javascript/normalize.css/normalize.css'
DARK = re.compile(r'^@media not print \{\n  body\[data-theme="dark"\] \{\n(.*?;)\s*(?:\}|html body)', re.M | re.S)
ASKS_SYSTEM = re.compile(r'prefers-color-scheme: ?dark\) ?\{\s*body:not\(')


def mend(static):
    """Mends the files in the built site's folder of static files."""
    script = os.path.join(static, 'scripts', 'furo.js')
    text = read(script)
    text = IMPORT.sub(lambda match: read(os.path.join(static, 'scripts', match.group(1))), text)
    write(script, text)
    styles = os.path.join(static, 'styles', 'furo.css')
    text = STYLES.sub(lambda _: read(NORMALIZE), read(styles))
    dark = DARK.search(text)
    if dark and not ASKS_SYSTEM.search(text):
        text += ('\n@media screen and (prefers-color-scheme: dark) {\n  body:not([data-theme="light"]) {\n'
                 f'{dark.group(1)}\n  }}\n}}\n')
    write(styles, text)


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


def write(path, text):
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)
