# SPDX-License-Identifier: MIT
"""Reads the declarations and docstrings of a public header.

The site shows a declaration as the header writes it, without its body, and the docstring by its parts (CONTRIBUTING.md,
"Code"). Doxygen and Breathe were tried for that and are not used: Doxygen takes the first word behind @throws for a
type ("what `f` throws" becomes an exception called what) and loses the labelled paragraphs, and of what is left Breathe
4.34 makes some 300 warnings, because Sphinx can't parse attributes, `requires` clauses and deduction guides. What is
read here is clang-format's output, in which a function's body is preceded by a space and an initialiser is not. What
can't be read stops the build, and the names found are compared with docs/reference.md.
"""

import dataclasses
import re


@dataclasses.dataclass
class Declaration:
    name: str
    kind: str  # type, enum, function, alias, variable, macro
    head: str  # the declaration's text up to its body
    doc: list  # lines of the docstring
    note: str = ''  # what stands behind it, after ///<
    members: list = dataclasses.field(default_factory=list)  # of a type: the public ones


TYPE = re.compile(r'(?:class|struct|union)\b')
ONLY_REFUSED = re.compile(r'\s*static_assert\((?:[^;"]|"[^"]*")*\);\s*')
OPENING = {'(': ')', '[': ']', '{': '}'}


def matching(text, at):
    """The index behind the bracket that closes the one at `at`."""
    depth = 0
    while at < len(text):
        c = text[at]
        if text.startswith('//', at):
            at = text.index('\n', at)
            continue
        if c == '"' or (c == "'" and not text[at - 1].isalnum()):
            at = end_of_literal(text, at)
            continue
        if c in OPENING:
            depth += 1
        elif c in ')]}':
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    raise ValueError('a bracket is not closed')


def end_of_literal(text, at):
    quote = text[at]
    at += 1
    while text[at] != quote:
        at += 2 if text[at] == '\\' else 1
    return at + 1


def without_templates(head):
    """The head without what stands before the declaration proper: template <...>, attributes, a requires clause."""
    head = head.strip()
    while True:
        if head.startswith('template'):
            at = head.index('<')
            depth = 0
            while True:
                if head[at] == '<':
                    depth += 1
                elif head[at] == '>':
                    depth -= 1
                at += 1
                if depth == 0:
                    break
            head = head[at:].lstrip()
        elif head.startswith('[['):
            head = head[matching(head, 0):].lstrip()
        elif head.startswith('requires('):
            head = head[matching(head, len('requires')):].lstrip()
        elif head.startswith('requires '):
            lines = head.split('\n', 1)
            if len(lines) == 1:
                return head
            head = lines[1].lstrip()
        else:
            return head


def function_name(head):
    rest = without_templates(head)
    operator = re.search(r'\boperator\b\s*(?:\(\)|[^\s(]+(?:<[^()]*>)?|\s*[a-z_]+(?:<[^()]*>)?)\s*(?=\()', rest)
    if operator:
        return ' '.join(operator.group(0).split())
    at = 0
    while True:
        call = re.compile(r'(~?\w+)\s*\(').search(rest, at)
        if not call:
            return None
        if call.group(1) in ('decltype', 'noexcept', 'requires', 'explicit', 'alignas'):
            at = matching(rest, call.end() - 1)
            continue
        return call.group(1)


def described(head):
    """What a declaration is, and its name."""
    rest = re.sub(r'\[\[[^\]]*\]\]\s*', '', without_templates(head))
    if rest.startswith('enum'):
        return 'enum', re.match(r'enum(?: class)? (\w+)', rest).group(1)
    if TYPE.match(rest):
        return 'type', re.match(r'\w+ ([\w:]+)', rest).group(1)
    if rest.startswith('using '):
        alias = re.match(r'using (\w+)\s*=', rest)
        return ('alias', alias.group(1)) if alias else ('other', '')
    if re.search(r'\boperator\b', rest):
        return 'function', function_name(head)
    if re.match(r'(friend (class |struct )?[\w:<>]+$|static_assert|namespace|extern|concept)', rest):
        return 'other', ''
    before_value = re.split(r'[={]', rest)[0]
    if '(' not in before_value or re.match(r'[^(]*\(\*\w+\)\(', rest):
        variable = re.search(r'(\w+)\s*(?:\[\w*\])?\s*(?:=.*|\{.*)?$', rest, re.S)
        if variable and '(' not in before_value:
            return 'variable', re.search(r'(\w+)\s*$', before_value.strip()).group(1)
    name = function_name(head)
    return ('function', name) if name else ('other', '')


def tidy(head):
    """A declaration's text for a reader: without what is there for compilers, and without indentation of its own."""
    head = re.sub(r'\[\[(gnu::visibility\("default"\)|no_unique_address|nodiscard[^\]]*)\]\]\s*', '', head)
    head = re.sub(r'\bGREENBACK_[A-Z]+_PATH\s+', '', head)
    lines = head.strip().split('\n')
    first = lines[0]
    rest = [line for line in lines[1:] if line.strip()]
    return '\n'.join([first] + rest)


def without_initialisers(head):
    """A constructor's head without the list of its members' initialisers."""
    depth, at, seen = 0, 0, False
    while at < len(head):
        c = head[at]
        if c in '([{':
            depth += 1
        elif c in ')]}':
            depth -= 1
            seen = True
        elif c == ':' and depth == 0 and seen:
            if head[at + 1:at + 2] != ':' and head[at - 1] != ':':
                return head[:at].rstrip()
        at += 1
    return head


class Reader:
    def __init__(self, text):
        self.text = text

    def scope(self, at, end, public=True, is_enum=False):
        """The declarations between two indices of the text."""
        text, found, doc, latest = self.text, [], [], None
        while at < end:
            line_end = text.find('\n', at, end)
            line_end = end if line_end < 0 else line_end
            if text[at].isspace():
                at += 1
            elif text.startswith('///<', at):
                if latest:
                    latest.note = (latest.note + ' ' + text[at + 4:line_end].strip()).strip()
                at = line_end
            elif text.startswith('///', at):
                doc.append(text[at + 3:line_end].removeprefix(' '))
                at = line_end
            elif text.startswith('//', at):
                doc = []
                at = line_end
            elif text[at] == '#':
                macro = re.match(r'#define (\w+(?:\([^)]*\))?)(.*)', text[at:line_end])
                while text[line_end - 1] == '\\':
                    line_end = text.index('\n', line_end + 1)
                if macro:
                    found.append(Declaration(re.match(r'\w+', macro.group(1)).group(0), 'macro',
                                             text[at:line_end].rstrip(), doc))
                doc = []
                at = line_end
            elif access := re.match(r'(public|private|protected):', text[at:line_end]):
                public = access.group(1) == 'public'
                doc = []
                at += len(access.group(0))
            elif is_enum:
                constant = re.match(r'(\w+)[^,/\n}]*,?', text[at:line_end])
                latest = Declaration(constant.group(1), 'variable', constant.group(0), doc)
                found.append(latest)
                doc = []
                at += len(constant.group(0))
            elif text[at] in ';}':
                at += 1
            else:
                at, latest = self.declaration(at, doc)
                if public and latest and latest.kind != 'other':
                    found.append(latest)
                doc = []
        return found

    def declaration(self, at, doc):
        text, start = self.text, at
        while True:
            c = text[at]
            if c == ';':
                head, body = text[start:at], None
                at += 1
                break
            if c == '{' and text[at - 1] in ' \n' and not re.search(r'[=(,]\s*$', text[start:at]):
                head, body = text[start:at], (at + 1, matching(text, at) - 1)
                at = body[1] + 1
                break
            if c in OPENING:
                at = matching(text, at)
            elif c == '"':
                at = end_of_literal(text, at)
            elif text.startswith('//', at):
                at = text.index('\n', at)
            else:
                at += 1
        kind, name = described(head)
        if kind == 'function':
            head = without_initialisers(head)
            if body and ONLY_REFUSED.fullmatch(text[body[0]:body[1]]):
                return at, None  # an overload that says what to write instead
        if kind in ('type', 'enum'):
            if body is None:
                return at, None  # declared here, and defined elsewhere
            is_class = re.match(r'class\b', re.sub(r'\[\[.*?\]\]', '', without_templates(head)))
            members = self.scope(*body, public=not is_class, is_enum=kind == 'enum')
            return at, Declaration(name, kind, tidy(head), doc, members=members)
        return at, Declaration(name, kind, tidy(head), doc)


NAMESPACE = re.compile(r'^namespace (greenback(?:::inline \w+)?) \{$(.*?)^\} // namespace \1$', re.M | re.S)


def read(text):
    """The public declarations of a header's text, in its order."""
    reader = Reader(text)
    found = []
    for macro in re.finditer(r'^#define \w+.*$', text, re.M):
        found += reader.scope(macro.start(), macro.end())
    for namespace in NAMESPACE.finditer(text):
        found += reader.scope(namespace.start(2), namespace.end(2))
    return found


# ---- Docstrings ------------------------------------------------------------------------------------------------------

TAGS = {'@pre': 'Precondition', '@returns': 'Returns', '@throws': 'Throws'}
LABEL = re.compile(r'((?:Cancellation|Thread safety|Cost|Example)\b[A-Za-z, ]*): ?(.*)')


def parts(doc):
    """A docstring as its description, and (label, text) pairs: for @pre, @returns, @throws, Cancellation: and so on."""
    doc = re.sub(r'(?<=\S) (?=@(?:returns|throws|pre) )', '\n', '\n'.join(doc)).split('\n')
    description, labelled = [], []
    for line in doc:
        tag = re.match(r'(@\w+)(?:\b,?) ?(.*)', line)
        label = LABEL.match(line)
        if tag and tag.group(1) == '@param':
            name, _, text = tag.group(2).partition(' ')
            labelled.append([f'`{name}`', text])
        elif tag:
            if tag.group(1) not in TAGS:
                raise ValueError(f'a docstring has the unknown {tag.group(1)}')
            labelled.append([TAGS[tag.group(1)], tag.group(2)])
        elif label:
            labelled.append([label.group(1), label.group(2)])
        elif labelled and line.startswith('    '):
            labelled[-1][1] += '\n' + line.strip()
        elif line.strip() or not labelled:
            description.append(line)
    return '\n'.join(description).strip(), [(label, text.strip()) for label, text in labelled]
