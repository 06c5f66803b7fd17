# SPDX-License-Identifier: MIT
"""Makes the sources that Sphinx builds the site from, out of the repository's Markdown.

The Markdown in the repository is for readers on a code host, and has nothing in it that only Sphinx understands. What
the site needs besides is added here: the navigation, the declarations of the reference, a page for each source file that
a page links to, and the links between all of these.
"""

import os
import re
import shutil

import navigation
import reference_pages

LANGUAGES = {'.cpp': 'cpp', '.hpp': 'cpp', '.py': 'python', '.cmake': 'cmake', '.sh': 'sh', '.S': 'text', '.txt': 'text'}
LINK = re.compile(r'(?<!\\)(!?)\[((?:[^\[\]`]|`[^`\n]*`|\[[^\]]*\])*)\]\(([^()\s]+)\)')
FENCE = re.compile(r'^(`{3,}|~{3,})', re.M)
SNIPPET = re.compile(r'<!-- snippet: (\S+) \S+ -->\n(```cpp\n.*?^```$)', re.M | re.S)


class Site:
    def __init__(self, root, target):
        self.root, self.target = root, target
        self.pages = navigation.pages(root)
        self.sources = []  # paths of files and folders that pages link to, in the order in which they were met
        self.wrong = list(navigation.check(root))
        self.declarations = reference_pages.Declarations(root, self.link)
        self.wrong += self.declarations.wrong

    def write(self):
        shutil.rmtree(self.target, ignore_errors=True)
        trees = navigation.toctrees(self.root)
        for page, place in self.pages.items():
            if not os.path.exists(os.path.join(self.root, page)):
                continue
            text = self.markdown(page)
            if page.startswith('docs/reference/'):
                text += self.declarations.text(page)
            self.put(place, text + trees.get(page, ''))
        for source in self.sources:  # grows meanwhile: a folder's page links to its files
            self.put(source_place(self.root, source), self.source_page(source))

    def put(self, place, text):
        path = os.path.join(self.target, place)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)

    # ---- Links ---------------------------------------------------------------------------------------------------

    def place(self, path):
        """The path in the site of a path in the repository."""
        if path in self.pages:
            return self.pages[path]
        if path not in self.sources:
            self.sources.append(path)
        return source_place(self.root, path)

    def link(self, page, path):
        """The target of a link from a page to a path in the repository."""
        here = self.pages[page] if page in self.pages else source_place(self.root, page)
        return os.path.relpath(self.place(path), os.path.dirname(here) or '.')

    def rewritten(self, page, match):
        image, text, target = match.groups()
        if re.match(r'[a-z]+:', target) or target.startswith('#'):
            return match.group(0)
        path, _, anchor = target.partition('#')
        path = os.path.normpath(os.path.join(os.path.dirname(page), path))
        full = os.path.join(self.root, path)
        if path.startswith('..') or not os.path.exists(full):
            self.wrong.append(f'{page}: there is no {target}')
            return match.group(0)
        if image:
            place = path.removeprefix('docs/')
            copy = os.path.join(self.target, place)
            os.makedirs(os.path.dirname(copy), exist_ok=True)
            shutil.copyfile(full, copy)
            here = os.path.dirname(self.pages[page]) or '.'
            return f'![{text}]({os.path.relpath(place, here)})'
        if anchor and path not in self.pages:
            self.wrong.append(f'{page}: {target}: the page of a source file has no anchors')
        return f'[{text}]({self.link(page, path)}{"#" + anchor if anchor else ""})'

    def markdown(self, page):
        """A page's text with its links led to the site's pages. What stands in fences is left alone."""
        with open(os.path.join(self.root, page), encoding='utf-8') as file:
            text = file.read()
        out, at = [], 0
        for block in re.finditer(r'^(`{3,})[^\n]*\n.*?^\1`*$', text, re.M | re.S):
            out += [self.prose(page, text[at:block.start()]), block.group(0)]
            at = block.end()
        text = ''.join(out + [self.prose(page, text[at:])])
        return SNIPPET.sub(lambda match: self.snippet(page, *match.groups()), text)

    def prose(self, page, text):
        def outside_of_code(match):
            return match.group(0) if match.group(0).startswith('`') else self.rewritten(page, match)
        return re.sub(f'(?<!\\[)(?:`[^`\\n]+`)(?![^\\[\\]\\n]*\\]\\()|{LINK.pattern}', outside_of_code, text)

    def snippet(self, page, source, block):
        """A block of code, and below it a link to the file that it is cut from."""
        link = f'[{source}]({self.link(page, source)})'
        return block + '\n\n' + '\n'.join(reference_pages.container('snippet-source', [link]))

    # ---- Pages of sources ----------------------------------------------------------------------------------------

    def source_page(self, source):
        full = os.path.join(self.root, source)
        top = f'---\norphan: true\n---\n\n# {source}\n\n'
        if os.path.isdir(full):
            names = [name for name in sorted(os.listdir(full)) if name != '__pycache__']
            return top + '\n'.join(self.entry(source, name) for name in names) + '\n'
        text = text_of(full)
        if text is None:
            self.wrong.append(f'a page links to {source}, which is no text')
            return top
        language = LANGUAGES.get(os.path.splitext(source)[1], 'text')
        if text.startswith('#!'):
            language = 'python' if 'python' in text.split('\n', 1)[0] else 'sh'
        fence = '`' * (max([2] + [len(run) for run in re.findall('`+', text)]) + 1)
        return f'{top}{fence}{language}\n{text}{"" if text.endswith(chr(10)) else chr(10)}{fence}\n'


    def entry(self, folder, name):
        path = f'{folder}/{name}'
        full = os.path.join(self.root, path)
        if os.path.isdir(full) or text_of(full) is not None:
            return f'- [{name}]({self.link(folder, path)})'
        return f'- `{name}` ({os.path.getsize(full)} bytes, no text)'


def text_of(path):
    """A file's text, or None where it is none: a seed of a fuzzer, a picture."""
    with open(path, 'rb') as file:
        content = file.read()
    try:
        return None if b'\0' in content else content.decode('utf-8')
    except UnicodeDecodeError:
        return None


def source_place(root, path):
    is_folder = os.path.isdir(os.path.join(root, path))
    return f'source/{path}/index.md' if is_folder else f'source/{path}.md'
