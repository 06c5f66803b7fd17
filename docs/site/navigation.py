# SPDX-License-Identifier: MIT
"""Which pages the site has, where they come from, and in which order they stand in the navigation.

Each Markdown file below docs/ has to be reachable from here: `check` fails otherwise, and `.ci/docs` with it.
"""

import os

# Captions of the navigation, and what stands below them: paths in the repository. A folder stands for its pages in the
# order of the page before it, which links to them.
NAVIGATION = [
    ('', ['docs/guide.md', 'docs/recipes.md', 'docs/how-it-works.md', 'docs/pitfalls.md', 'docs/debugging.md']),
    ('Look up', ['docs/reference.md', 'docs/libraries.md', 'docs/blocking-calls.md', 'docs/packages.md']),
    ('Judge', ['docs/benchmarks.md', 'docs/rely-on-it.md', 'docs/versions.md', 'docs/soak.md', 'docs/fuzzing.md']),
    ('Coming from', ['docs/coming-from-asio-spawn.md', 'docs/coming-from-python.md']),
    ('Project', ['CHANGELOG.md', 'SECURITY.md', 'CONTRIBUTING.md', 'CODE_OF_CONDUCT.md']),
]

# Pages with a folder of pages: these stand below them.
FOLDERS = {'docs/reference.md': 'docs/reference', 'docs/libraries.md': 'docs/libraries'}

LANDING = 'README.md'


def markdown_in(root, folder):
    """The Markdown files of a folder, as paths in the repository, sorted."""
    path = os.path.join(root, folder)
    names = sorted(os.listdir(path)) if os.path.isdir(path) else []
    return [f'{folder}/{name}' for name in names if name.endswith('.md')]


def pages(root):
    """Every page, as its path in the repository, and its path in the site."""
    found = {LANDING: 'index.md'}
    for _, listed in NAVIGATION:
        for page in listed:
            for each in [page, *markdown_in(root, FOLDERS.get(page, '-'))]:
                found[each] = each.removeprefix('docs/') if each.startswith('docs/') else each.lower()
    return found


def check(root):
    """What is wrong: pages that are listed and don't exist, and Markdown below docs/ that nothing leads to."""
    listed = pages(root)
    wrong = [f'{page} is in the navigation, but does not exist' for page in listed
             if not os.path.exists(os.path.join(root, page))]
    for folder, subfolders, _ in os.walk(os.path.join(root, 'docs')):
        subfolders[:] = [name for name in subfolders if name != '__pycache__']
        wrong += [f'{page} is not in the navigation (docs/site/navigation.py)'
                  for page in markdown_in(root, os.path.relpath(folder, root)) if page not in listed]
    return wrong


def toctrees(root):
    """The directives of the landing page, and of the pages with folders, by page."""
    listed = pages(root)
    trees = {LANDING: ''}
    for caption, names in NAVIGATION:
        entries = [listed[name].removesuffix('.md') for name in names if name in listed]
        trees[LANDING] += toctree(entries, caption)
    for page, folder in FOLDERS.items():
        base = os.path.dirname(listed[page])
        trees[page] = toctree([os.path.relpath(listed[each], base or '.').removesuffix('.md')
                               for each in markdown_in(root, folder)], '')
    return trees


def toctree(entries, caption):
    lines = ['', '```{toctree}', ':hidden:'] + ([f':caption: {caption}'] if caption else []) + ['']
    return '\n'.join(lines + entries + ['```', ''])
