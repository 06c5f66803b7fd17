# SPDX-License-Identifier: MIT
"""What the site adds to the pages of docs/reference/: the declarations of their names, with the headers' docstrings.

Which page a name belongs to, the tables of docs/reference.md say: to the page that its row links to, else to that of
the nearest row above it with the same header.
"""

import os
import re

import headers

ROW = re.compile(r'^\| `(\w+)[^`]*` \|(.*)\| `(greenback/\w+\.hpp)` \|$', re.M)
PAGE = re.compile(r'\]\((reference/\w+\.md)\)')


def assignments(reference):
    """From the text of docs/reference.md: a list of (name, header, page), where page may be None."""
    found, page_of_header = [], {}
    for name, text, header in ROW.findall(reference):
        link = PAGE.search(text)
        if link:
            page_of_header[header] = 'docs/' + link.group(1)
        found.append((name, header, page_of_header.get(header)))
    return found


class Declarations:
    """The declarations of each page, as text in MyST's Markdown."""

    def __init__(self, root, link):
        """`link(page, repository_path)` gives the target of a link from a page of the site."""
        self.root, self.link, self.wrong = root, link, []
        with open(os.path.join(root, 'docs/reference.md'), encoding='utf-8') as file:
            self.rows = assignments(file.read())
        self.page_of = {name: page for name, _, page in self.rows}
        self.without_page = [(name, header) for name, header, page in self.rows if not page]
        self.by_header = {}
        for name, header, _ in self.rows:
            declared = self.declared(header)
            if not any(d.name == name for d in declared):
                self.wrong.append(f'docs/reference.md: {name} was not found in {header} by docs/site/headers.py')

    def declared(self, header):
        if header not in self.by_header:
            with open(os.path.join(self.root, 'include', header), encoding='utf-8') as file:
                self.by_header[header] = headers.read(file.read())
        return self.by_header[header]

    def text(self, page):
        """What stands at the end of a page; empty if no name belongs to it."""
        names = [(name, header) for name, header, of in self.rows if of == page]
        if not names:
            return ''
        out = ['', '## Declarations', '']
        shown = None
        for name, header in names:
            if header != shown:
                source = self.link(page, f'include/{header}')
                out += [f'`#include <{header}>` ([source]({source}))', '']
                shown = header
            out += [f'### `{name}`', '']
            for group in overloads([d for d in self.declared(header) if d.name == name]):
                out += self.declaration(page, group)
        return '\n'.join(out)

    def declaration(self, page, group):
        out = container('declaration', code([synopsis(d) for d in group]))
        out += self.docstring(page, group[0].doc)
        for members in overloads(group[0].members):
            if members[0].doc and members[0].kind == 'function':
                inner = code([member.head + ';' for member in members]) + self.docstring(page, members[0].doc)
                out += container('member', inner)
        return out

    def docstring(self, page, doc):
        if not doc:
            return []
        description, labelled = headers.parts(doc)
        out = [self.linked(page, description), '']
        for label, text in labelled:
            lines = self.linked(page, sentence(label, text)).split('\n')
            out += [label, ': ' + '\n  '.join(lines), '']
        return out

    def linked(self, page, text):
        """Names of other pages become links to them, and so do the pages' paths."""
        def name(match):
            target = self.page_of.get(match.group(2))
            if target is None or target == page:
                return match.group(0)
            return f'[{match.group(0)}]({self.link(page, target)})'

        def path(match):
            return f'[{match.group(0)}]({self.link(page, match.group(0))})'
        text = re.sub(r'(?<![\[`\w])(`(?:greenback::)?(\w+)(?:\(\))?`)(?!`)', name, text)
        return re.sub(r'\bdocs/[\w/-]+\.md\b', path, text)


def sentence(label, text):
    """The text behind a label, from which a comma may be left: "@throws, from `co_await`, …"."""
    text = text.lstrip(', ')
    return text[:1].upper() + text[1:] if label != 'Example' else text


def overloads(declarations):
    """Declarations in groups: one without a docstring goes with the one above it, if it has the same name."""
    groups = []
    for declaration in declarations:
        if groups and not declaration.doc and groups[-1][0].name == declaration.name:
            groups[-1].append(declaration)
        else:
            groups.append([declaration])
    return groups


def synopsis(declaration, indentation=''):
    """A declaration as code: of a type with its public members, of an enumeration with its constants."""
    inner = indentation + '    '
    if declaration.kind == 'macro':
        return declaration.head
    if declaration.kind not in ('type', 'enum'):
        return declaration.head + ';'
    if not declaration.members:
        return declaration.head + ' { /* … */ };'  # the lexer knows no bare ellipsis
    lines = [declaration.head + ' {']
    if declaration.head.startswith('class') or '\nclass' in declaration.head or '> class' in declaration.head:
        lines.append(indentation + 'public:')
    for member in declaration.members:
        if member.kind == 'variable':
            lines += [f'{inner}// {line}' for line in member.doc]
        end = '' if declaration.kind == 'enum' else ';'
        text = synopsis(member, inner) if member.kind == 'type' else member.head + end
        lines.append(inner + text + (f' // {member.note}' if member.note else ''))
    return '\n'.join(lines + [indentation + '};'])


def code(texts):
    return ['```cpp', *[readable(text) for text in texts], '```', '']


def readable(text):
    """What stands in the namespace `detail` is nothing to rely on, so it is not shown."""
    text = re.sub(r'(using \w+ =) (?:typename )?detail::[^;]*;', r'\1 /* unspecified */;', text)
    text = re.sub(r' : private detail::[^{]*(?= \{)', '', text)
    return re.sub(r'\n *\n', '\n', text)


def container(name, lines):
    return [f'````{{container}} {name}', *lines, '````', '']
