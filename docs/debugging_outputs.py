#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes what the tools say into docs/debugging.md.

    docs/debugging_outputs.py             builds the programs of examples/debugging, runs each tool, writes the page
    docs/debugging_outputs.py --check     writes nothing: exit code 1, with a diff, where the page is not what tools say
    docs/debugging_outputs.py NAME...     only these blocks, with or without --check

A block is what stands in the fence below a line "<!-- output: NAME; TOOL VERSION, ... -->". A block whose tool is not here,
or here in another version than the page names, or not allowed to look at a process, is left alone, and a line says so.
"""

import argparse
import difflib
import os
import re
import shutil
import signal
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE = os.path.join(ROOT, 'docs', 'debugging.md')
BUILD = os.path.join(ROOT, 'build', 'debugging')
WORK = os.path.join(BUILD, 'run')
SECONDS = 60  # for one block, on a busy machine

# ---- The programs ----------------------------------------------------------------------------------------------------

BUILDS = {  # options, targets
    'plain': (['-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O2 -g', '-DGREENBACK_LIBBACKTRACE=ON'],
              ['mail_server', 'report', 'mistakes', 'watchdog']),
    'asan': (['-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -g', '-DCMAKE_CXX_FLAGS=-fsanitize=address -fno-omit-frame-pointer'], ['mistakes']),
    'tsan': (['-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -g', '-DCMAKE_CXX_FLAGS=-fsanitize=thread -Wno-tsan'],
             ['mistakes']),
}


def build(names):
    environment = {k: v for k, v in os.environ.items() if k not in ('CCACHE_BASEDIR', 'CCACHE_NOHASHDIR')}  # real paths
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    os.symlink(os.path.join(ROOT, 'src/gdb/greenback.py'), os.path.join(WORK, 'greenback.py'))
    for name in names:
        options, programs = BUILDS[name]
        folder = os.path.join(BUILD, name)
        targets = [('example_' if p == 'watchdog' else 'debugging_') + p for p in programs]
        for command in (['cmake', '-S', ROOT, '-B', folder, '-G', 'Ninja', '-DCMAKE_BUILD_TYPE=RelWithDebInfo',
                         '-DCMAKE_CXX_COMPILER=g++', '-DGREENBACK_BUILD_TESTS=OFF', *options],
                        ['cmake', '--build', folder, '-j', os.environ.get('GREENBACK_CI_JOBS') or str(os.cpu_count()),
                         '--target', *targets]):
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  env=environment)
            if done.returncode != 0:
                sys.exit(done.stdout + 'failed: ' + ' '.join(command))
        for program in programs:
            shown = program if name == 'plain' else program + '-' + name
            os.symlink(os.path.join(folder, 'examples', program), os.path.join(WORK, shown))


# ---- The tools -------------------------------------------------------------------------------------------------------

def version(tool):
    """None if the tool is not here."""
    if tool in ('asan', 'tsan', 'greenback'):
        tool = 'g++'
    if not shutil.which(tool):
        return None
    said = subprocess.run([tool, '-dumpfullversion' if tool == 'g++' else '--version'], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True).stdout
    number = re.search(r'(?<![\w.])\d+(\.\d+)+', re.sub(r'\(.*?\)', '', said))
    return number.group(0) if number else 'of some kind'


# ---- What is run -----------------------------------------------------------------------------------------------------

class Block:
    """session: lines that are run by bash. One that begins with "$ " is shown on the page, others are not.
    plumbing: lines that a "[…]" stands for. only: all others vanish, as those of drop do. change: pairs for re.sub.
    last: what follows this line vanishes."""

    def __init__(self, session, tools=(), builds=('plain',), plumbing=None, only=None, drop=None, change=(), last=None):
        self.session, self.tools, self.builds = session.strip('\n').split('\n'), ('g++', *tools), builds
        self.plumbing, self.only, self.drop, self.change, self.last = plumbing, only, drop, change, last


# Frames of greenback, Asio, the standard library and the C library; the fiber's entry is shown.
PLUMBING = (r'^(?!.*(__morestack|greenback_fiber_entry|`main at))\s*([|#*]|by 0x|at 0x|frame #|==|[\w<:]).*'
            r'(/usr/include/|include/greenback/|[ (/]src/\w+\.[ch]pp|sysdeps/|libsanitizer/|/csu/|bits/|<null>|_start\b|'
            r'unique_ptr\.h|function_coroutine\.hpp|\(fiber\.cpp|vg_replace|vgpreload|libc-start|\.ipp:|'
            r'libstdc\+\+)')
UNTIL_PROMPT = 'seen() { until grep -Eq "$1" "$LOG"; do sleep 0.02; done; }'

BLOCKS = {
    'dump': Block(r'''
$ ./mail_server &
seen listening
$ kill -USR1 $!
until [ $(grep -c 'standard library)' "$LOG") = 3 ]; do sleep 0.02; done
kill $!
'''),
    'gdb-attached': Block(r'''
$ ./mail_server &
seen listening
$ gdb -q -batch -p $! -ex 'source greenback.py' -ex 'info portals' -ex 'portal 2 bt'
kill $!
''', ['gdb'], drop=r'^\[|^Using host|^warning: (?!.*core dump)|^$|epoll_wait|syscall|No such file'),
    'gdb-core': Block(r'''
rm -f core*
ulimit -c unlimited
$ ./mail_server &
seen listening
$ kill -ABRT $!
wait 2>/dev/null
[ -e core ] || mv core.* core 2>/dev/null || echo 'Operation not permitted: /proc/sys/kernel/core_pattern has cores elsewhere'
$ gdb -q -batch ./mail_server core -ex 'source greenback.py' -ex 'portal 1' -ex up -ex 'portal none'
''', ['gdb'], drop=r'^\[|^Using host|^warning: (?!.*core dump)|^$|epoll_wait|syscall|No such file|^Core was'),
    'gdb-running': Block(r'''
$ gdb -q -batch -ex 'break add_checksum' -ex run -ex bt ./report
''', ['gdb'], plumbing=PLUMBING,
                         drop=r'^\[|^Using host|^warning: (?!.*core dump)|^$|^\d+\t|^This GDB|^Enable debug|^Debuginfod|^To make'),
    'lldb': Block(r'''
$ lldb-16 --batch -o 'breakpoint set --file report.cpp --line 22' -o run -o bt ./report
''', ['lldb-16'], plumbing=PLUMBING + r'|^    frame #\d+: .*(asio::|greenback::|libc\.so)',
                  drop=r'^\(lldb\) (target|break|run)|^Current exec|^Breakpoint|^Process|^$|^ +-?>? *\d+ |^   \d|^\s+\^'),
    'watchdog': Block(r'''
$ ./watchdog 2>&1 | c++filt
''', plumbing=r'^\S*\((asio::|void asio::|\+0x)|^/lib|_start|say_where'),
    'perf': Block(r'''
$ perf record -q --call-graph dwarf ./report 300000
$ perf report -q --stdio --no-children
''', ['perf'], only=r'^\$|add_checksum|^ +-*-?(---)?\w.*|^ +\|', last=r'__morestack',
                  plumbing=r'^ +(greenback::|call<>|job )', change=[(r'(?m)^ +\|\n', ''), (r'(?m)^ +( --)?-? ?\d*[.\d%]*--+(?=\w)', '            ---'),
                                         (r'(?m)^ {13,}(?=\w)', ' ' * 15), (r'\d+\.\d+%', '[…]%')]),
    'memcheck': Block(r'''
$ valgrind -q ./mistakes use-after-free
''', ['valgrind'], plumbing=PLUMBING, drop=r'^==\w+== $', last=r'^deepest'),
    'callgrind': Block(r'''
$ valgrind -q --tool=callgrind --callgrind-out-file=callgrind.out ./report 10000
$ callgrind_annotate --auto=no --inclusive=yes callgrind.out
''', ['valgrind'], only=r'^\$|:(main|answer\(int\)|write_report\(int\)|add_checksum\(.*\)) ?[^:]*$',
                       change=[(r'(?m)^ *[\d,]+ \( *(\d+)\.\d+%\)', r'[…] (\1%)'), (r'\S*/(?=\w+\.\w+:\w)', '')]),
    'heaptrack': Block(r'''
$ heaptrack -o heaptrack ./mistakes leak >heaptrack.log
$ heaptrack_print -l1 -p0 -a0 -T0 heaptrack.zst
''', ['heaptrack'], change=[(r'\n *at ', ' at '), (r'\n *in \S+(?=\n)', '')], plumbing=PLUMBING + '|^    (greenback|asio|std)::',
                       only=r'^\$|leak|main|__morestack|^\s', last=r'^    main', drop=r'^$|^\t|_start|Debuggee|^heaptrack'),
    'asan': Block(r'''
$ ./mistakes-asan use-after-free
''', ['asan'], ['asan'], plumbing=PLUMBING + r'|^    #\d+ 0x… in (asio|greenback|void asio)::', last=r'^SUMMARY', drop=r'^$|^=====*$|is located'),
    'tsan': Block(r'''
$ ./mistakes-tsan race
''', ['tsan'], ['tsan'], plumbing=PLUMBING + r'|^    #\d+ .*sanitizer::', drop=r'^$|^=====*$|^ThreadSan|mails$',
                  change=[(r'(?m) \(mistakes\+0x…\)$', '')]),
    'overflow': Block(r'''
$ ./mistakes overflow
true
'''),
    'high-water': Block(r'''
$ ./mistakes
'''),
}

NOT_ALLOWED = r'Operation not permitted|No permission|Permission denied|ptrace: |perf_event_paranoid|Could not attach'


def run(block):
    """What the session prints, with its commands."""
    log = os.path.join(WORK, 'log')
    lines = ['exec 2>&1', UNTIL_PROMPT]
    for line in block.session:
        if line.startswith('$ '):
            line = "cat <<'END_OF_COMMAND'\n%s\nEND_OF_COMMAND\n%s" % (line, line[2:])
        lines.append(line)
    # Addresses are not chosen at random: some kernels do so more than ThreadSanitizer can take.
    fixed = ['setarch', '-R'] if subprocess.run(['setarch', '-R', 'true'], stderr=subprocess.DEVNULL).returncode == 0 else []
    environment = dict(os.environ, LOG=log, LC_ALL='C.UTF-8', DEBUGINFOD_URLS='', COLUMNS='200', TERM='dumb',
                       ASAN_OPTIONS='', TSAN_OPTIONS='')
    with open(log, 'ab', buffering=0) as out:
        out.truncate(0)
        child = subprocess.Popen([*fixed, 'bash', '-c', '\n'.join(lines)], cwd=WORK, stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=out, env=environment, start_new_session=True)
        try:
            child.wait(SECONDS)
        except subprocess.TimeoutExpired:
            return open(log, errors='replace').read() + '\n(not ended after %d seconds)\n' % SECONDS
        finally:
            try:
                os.killpg(child.pid, signal.SIGKILL)  # the session's own group: what it has left running
            except ProcessLookupError:
                pass
    return open(log, errors='replace').read()


def normalised(text, block):
    """Without what differs from run to run, and without frames that nobody wants to read."""
    real = os.path.realpath
    for folder in [WORK, *(os.path.join(BUILD, name, 'examples') for name in BUILDS), ROOT]:
        for path in {folder, real(folder)}:
            text = text.replace(path + '/', '')
    text = re.sub(r'0x[0-9a-fA-F]+', '0x…', text)
    text = re.sub(r'greenback_fiber_entry( \+ \d+)?', '__morestack', text)  # two names of one place: tools take either
    text = re.sub(r'==\d+==', '==…==', text)
    text = re.sub(r'(?<=pid=)\d+|(?<=LWP )\d+|(?<=[Pp]rocess )\d+|(?<=BuildId: )\w+', '…', text)
    text = re.sub(r'(?m)^(\S+): line \d+: +\d+ (Segmentation fault).*$', r'\2', text)
    for pattern, replacement in block.change:
        text = re.sub(pattern, replacement, text)
    result = []
    for line in text.split('\n'):
        line = line.rstrip()
        if not line.startswith('$ '):
            if block.drop and re.search(block.drop, line):
                continue
            if block.only and not re.search(block.only, line):
                continue
            if block.plumbing and re.search(block.plumbing, line):
                if result and result[-1].strip() != '[…]' and not result[-1].startswith('$ '):
                    result.append(re.match(r' *', line).group(0) + '[…]')
                continue
        result.append(line)
        if block.last and re.search(block.last, line):
            break
    return '\n'.join(result).strip('\n') + '\n'


# ---- The page --------------------------------------------------------------------------------------------------------

MARKED = re.compile(r'<!-- output: ([\w-]+)(?:; ([^>]*?))? -->\n```text\n(.*?)```\n', re.DOTALL)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--check', action='store_true')
    parser.add_argument('names', nargs='*')
    arguments = parser.parse_args()

    page = open(PAGE, encoding='utf-8').read()
    on_page = {name: (versions or '', text) for name, versions, text in MARKED.findall(page)}
    if set(on_page) != set(BLOCKS):
        sys.exit('docs/debugging.md and the script do not have the same blocks: %s' % (set(on_page) ^ set(BLOCKS)))
    if page.count('<!-- output: ') != len(on_page):
        sys.exit('docs/debugging.md: an output is not followed by a fence of text, or is there twice')
    unknown = set(arguments.names) - set(BLOCKS)
    if unknown:
        sys.exit('no such block: %s' % unknown)

    chosen = {}
    for name in arguments.names or BLOCKS:
        block = BLOCKS[name]
        versions = {tool: version(tool) for tool in block.tools}
        absent = [tool for tool, number in versions.items() if number is None]
        said = ', '.join('%s %s' % item for item in versions.items() if item[0] not in ('asan', 'tsan'))
        if absent:
            print('%s: not checked: %s is not here' % (name, ', '.join(absent)))
        elif arguments.check and on_page[name][0] != said:
            print('%s: not checked: made with %s; here is %s' % (name, on_page[name][0], said))
        else:
            chosen[name] = said

    build(dict.fromkeys(b for name in chosen for b in BLOCKS[name].builds))
    different = 0
    for name, said in chosen.items():
        raw = run(BLOCKS[name])
        if re.search(NOT_ALLOWED, raw):
            print('%s: not checked: not allowed here: %s' % (name, re.search('.*(%s).*' % NOT_ALLOWED, raw).group(0)))
            continue
        text = normalised(raw, BLOCKS[name])
        if arguments.check:
            if text != on_page[name][1]:
                different += 1
                sys.stdout.writelines(difflib.unified_diff(
                    on_page[name][1].splitlines(True), text.splitlines(True), 'docs/debugging.md: ' + name, 'now'))
            else:
                print('%s: ok' % name)
        else:
            page = re.sub(r'<!-- output: %s\b[^>]*-->\n```text\n.*?```\n' % re.escape(name),
                          lambda _: '<!-- output: %s; %s -->\n```text\n%s```\n' % (name, said, text), page, flags=re.DOTALL)
            print('%s: written' % name)
    if not arguments.check:
        open(PAGE, 'w', encoding='utf-8').write(page)
    if different:
        print('%d of %d blocks differ: docs/debugging_outputs.py writes them' % (different, len(chosen)))
        sys.exit(1)


main()
