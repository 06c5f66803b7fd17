# SPDX-License-Identifier: MIT
"""Sphinx's configuration. docs/site/build.py makes the sources, and calls Sphinx."""

import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
with open(os.path.join(ROOT, 'CMakeLists.txt'), encoding='utf-8') as file:
    release = version = re.search(r'project\(\s*greenback\s+VERSION (\S+)', file.read()).group(1)

project = 'greenback for C++'
author = copyright = 'The greenback for C++ authors'

extensions = ['myst_parser']
myst_enable_extensions = ['deflist']
myst_heading_anchors = 4
nitpicky = True
language = 'en'

html_theme = 'furo'
html_title = f'{project} {version}'
html_static_path = ['static']
html_favicon = 'static/favicon.svg'
html_css_files = ['site.css']
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_permalinks_icon = '#'
highlight_language = 'text'  # of a fence that names none
pygments_style = 'default'
pygments_dark_style = 'github-dark'
