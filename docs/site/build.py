#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Builds the documentation's site into build/site, with Sphinx, MyST and Furo as Debian packages them.

    docs/site/build.py           builds it; exit code 1, and what is wrong, where anything is
    docs/site/build.py --draft   names of the reference that have no page are told, and no error

A link to what doesn't exist, Markdown that nothing leads to, a public name without a page, and every warning of Sphinx is
an error. `.ci/docs` installs what this needs, and checks the result.
"""

import argparse
import os
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import furo_of_debian
import pages

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SITE = os.path.join(ROOT, 'build', 'site')
WORK = os.path.join(ROOT, 'build', 'site-work')  # the sources for Sphinx, and what it keeps


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    arguments.add_argument('--draft', action='store_true', help='names without a page are no error')
    options = arguments.parse_args()

    site = pages.Site(ROOT, os.path.join(WORK, 'source'))
    site.write()
    nameless = [f'docs/reference.md: {name} ({header}) has no page, and no row of its header above has one'
                for name, header in site.declarations.without_page]
    if options.draft:
        print(*nameless, sep='\n')
    else:
        site.wrong += nameless
    if site.wrong:
        print(*site.wrong, sep='\n', file=sys.stderr)
        return 1

    shutil.rmtree(SITE, ignore_errors=True)
    environment = dict(os.environ, PYTHONDONTWRITEBYTECODE='1', LC_ALL='C.UTF-8')
    result = subprocess.run(
        [sys.executable, '-m', 'sphinx', '-q', '-W', '--keep-going', '-n', '-E', '-b', 'html', '-c', HERE,
         '-d', os.path.join(WORK, 'doctrees'), os.path.join(WORK, 'source'), SITE],
        env=environment, check=False).returncode
    if result == 0:
        furo_of_debian.mend(os.path.join(SITE, '_static'))
    return result


if __name__ == '__main__':
    sys.exit(main())
