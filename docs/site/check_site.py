#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the built site in build/site without a browser.

- Each link leads to a page or file that is there, and to an anchor that is there.
- Addresses elsewhere are only looked at for their form (https, a host name, no space): nothing is asked of the network.
- No page loads anything from elsewhere.
- Each page of the navigation stands in the navigation that a reader sees on the first page, and each other page is linked
  from some page.
- Each page has one heading of the first level and a title.
"""

import html.parser
import os
import re
import sys
import urllib.parse

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import navigation

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SITE = os.path.join(ROOT, 'build', 'site')
OF_SPHINX = {'genindex.html', 'search.html'}
LOADING = {('img', 'src'), ('script', 'src'), ('link', 'href'), ('source', 'src'), ('iframe', 'src'), ('object', 'data')}


class Page(html.parser.HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.loads, self.headings, self.title = set(), [], [], 0, False
        self.repeated, self.sidebar, self.in_sidebar = [], [], False
        with open(os.path.join(SITE, path), encoding='utf-8') as file:
            self.feed(file.read())

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        for name in ('id', 'name'):
            if name in attributes and (name == 'id' or tag == 'a'):
                if name == 'id' and attributes[name] in self.anchors:
                    self.repeated.append(attributes[name])
                self.anchors.add(attributes[name])
        if 'sidebar-tree' in attributes.get('class', ''):
            self.in_sidebar = True
        if tag == 'a' and 'href' in attributes:
            self.links.append(attributes['href'])
            if self.in_sidebar:
                self.sidebar.append(attributes['href'])
        for name, value in attrs:
            if (tag, name) in LOADING:
                self.loads.append(value)
        self.headings += tag == 'h1'
        self.title = self.title or tag == 'title'

    def handle_endtag(self, tag):
        if tag == 'aside':
            self.in_sidebar = False


def external_is_well_formed(address):
    parsed = urllib.parse.urlsplit(address)
    if parsed.scheme == 'mailto':
        return '@' in parsed.path
    return parsed.scheme == 'https' and re.fullmatch(r'[a-z0-9-]+(\.[a-z0-9-]+)+', parsed.netloc) and ' ' not in address


def resolve(page, link):
    path, _, anchor = link.partition('#')
    path = path.partition('?')[0]
    target = os.path.normpath(os.path.join(os.path.dirname(page), urllib.parse.unquote(path))) if path else page
    return target, urllib.parse.unquote(anchor)


def main():
    pages = {}
    for folder, _, names in os.walk(SITE):
        for name in names:
            if name.endswith('.html') and '/_static' not in folder:
                path = os.path.relpath(os.path.join(folder, name), SITE)
                pages[path] = Page(path)
    wrong, internal, external, linked = list(navigation.check(ROOT)), 0, set(), set()
    for path, page in sorted(pages.items()):
        if page.headings != 1 and path not in OF_SPHINX:
            wrong.append(f'{path}: {page.headings} headings of the first level')
        if not page.title:
            wrong.append(f'{path}: no title')
        wrong += [f'{path}: two elements have the id {name}' for name in page.repeated]
        wrong += [f'{path}: loads {load}' for load in page.loads if re.match(r'(?!data:)[a-z]+:|//', load)]
        for link in page.links:
            if re.match(r'[a-z]+:', link):
                external.add(link)
                if not external_is_well_formed(link):
                    wrong.append(f'{path}: a strange address: {link}')
                continue
            internal += 1
            target, anchor = resolve(path, link)
            if target != path:
                linked.add(target)
            if target.startswith('..') or not os.path.isfile(os.path.join(SITE, target)):
                wrong.append(f'{path}: {link} leads to no file')
            elif anchor and anchor != 'top' and target in pages and anchor not in pages[target].anchors:
                wrong.append(f'{path}: {link}: no such anchor')
        for load in page.loads:
            if not re.match(r'[a-z]+:|//', load) and not os.path.isfile(os.path.join(SITE, resolve(path, load)[0])):
                wrong.append(f'{path}: loads {load}, which is not there')

    shown = {resolve('index.html', link)[0] for link in pages['index.html'].sidebar} | {'index.html'}
    expected = {place.removesuffix('.md') + '.html' for place in navigation.pages(ROOT).values()}
    wrong += [f'{path} is not in the navigation of the first page' for path in sorted(expected - shown)]
    wrong += [f'{path} is linked from nowhere' for path in sorted(set(pages) - linked - shown - OF_SPHINX)]

    print(*wrong, sep='\n', end='\n' if wrong else '')
    print(f'{len(pages)} pages, {len(expected)} of them in the navigation; {internal} links within the site checked; '
          f'{len(external)} addresses elsewhere, of which only the form was checked')
    return 1 if wrong or len(pages) < 20 else 0


if __name__ == '__main__':
    sys.exit(main())
