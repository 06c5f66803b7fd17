# SPDX-License-Identifier: MIT
"""Checks the gdb commands for portals on the program of portals.cpp. Run by gdb itself, see CMakeLists.txt:

    gdb -nx -batch -q ... -ex "python arguments = dict(...)" -x portals.py

arguments: program, source (portals.cpp), script (greenback.py), work (a folder), how ('live': started by gdb, stepped
through, and its core dump; 'attached'), debug ('all', 'program', 'none': what has debug information)
"""

import os
import re
import subprocess
import sys
import traceback

import gdb

program, source, script, work, how, debug = (
    arguments[name] for name in ('program', 'source', 'script', 'work', 'how', 'debug'))  # noqa: F821

SKIPPED = 77
LINES = {name: number for number, line in enumerate(open(source), 1)
         for name in re.findall(r'// line: (\w+)', line)}

# Of each portal in the order of the list: its label, its await_, the functions of its backtrace, and whether it runs.
WAITING = [
    ('mail session', 'read_line', ['read_line', 'serve', 'serve_mail']),
    (None, 'read_line', ['read_line', 'serve']),
    (None, 'read_line', ['read_line', 'serve', 'serving_coroutine']),
    (None, 'read_line', ['read_line', 'serve', 'serving_coroutine']),
    (None, 'read_line', ['read_line', 'serve', 'with_portal_ensured']),
    (None, None, ['read_line_by_token', 'serve_by_token']),
    ('file copy', 'copy_file', ['copy_file']),
    (None, 'read_line', ['read_line', 'reading_coroutine', 'serve_through_coroutine']),
    (None, 'read_line', ['read_line', 'compare', 'sort_slowly']),
]
RUNNING = ['outer', 'nested', 'above', 'below', 'visitor']
ON_OTHER_STACK = (None, 'read_line', ['read_line', 'serve'])
OUTER, NESTED, ABOVE, BELOW, VISITOR, LAST = 10, 11, 12, 13, 14, 15

failures = 0


def run(command):
    """What a command prints, or the error that it ends with."""
    try:
        return gdb.execute(command, to_string=True)
    except gdb.error as e:
        return 'error: %s' % e


def check(ok, what, output=''):
    global failures
    if not ok:
        failures += 1
        caller = traceback.extract_stack()[0]
        for frame in traceback.extract_stack():
            if frame.name.startswith('test_'):
                caller = frame
        gdb.write('FAILED in %s, line %d: %s\n%s\n' % (caller.name, caller.lineno, what, output))


def check_in(text, output):
    check(text in output, 'there is to be "%s" in' % text, output)


def check_match(pattern, output):
    check(re.search(pattern, output, re.MULTILINE) is not None, 'there is to be a match of "%s" in' % pattern, output)


def check_sane(output):
    for text in ('Python Exception', 'Traceback', 'corrupt stack', 'inner to this frame', 'Cannot access memory'):
        check(text not in output, 'there is to be no "%s" in' % text, output)


def check_order(names, output):
    """Do lines of a backtrace name these functions, each in a line of its own, in this order?"""
    lines = iter(line for line in output.splitlines() if line.startswith('#'))
    for name in names:
        check(any(re.search(r'(^|[\s:])(%s)\b' % name, line) for line in lines),
              '%s is to be there, in the order %s, in' % (name, names), output)


def rows(output):
    """The lines of `info portals` by the portal's number."""
    return {int(m.group(1)): m.group(0) for m in re.finditer(r'^[ *] (\d+) .*$', output, re.MULTILINE)}


SOURCE = r'(\S*/)?' + re.escape('tests/gdb/portals.cpp')  # a compiler's wrapper may have made the path relative


def site(name):
    """A pattern."""
    return 'await_ at %s:%d in ' % (SOURCE, LINES[name])


# ---- what is to be seen, in a process and in its dump -------------------------------------------------------------

def test_list():
    output = run('info portals')
    check_sane(output)
    check_in('15 portals, 10 suspended', output)
    row = rows(output)
    check(sorted(row) == list(range(1, LAST + 1)), 'the numbers are to be 1 to 15', output)
    for number, (label, name, _) in list(enumerate(WAITING, 1)) + [(LAST, ON_OTHER_STACK)]:
        if name:
            check_match(site(name) + r'.*\b%s\(' % name, row[number])
        check_match(r'^ +%d +%s *\d+ of 64 KiB +(boost::)?asio::any_io_executor ' % (number, label or ''), row[number])
    check_match(r'use_portal of (boost::)?asio::.*initiate_async_wait', row[6])
    for number, label in enumerate(RUNNING, OUTER):
        check_match(r'^\S* +%d +%s +64 KiB .*running on thread \d+' % (number, label), row[number])
    check_in('has entered portal %d' % NESTED, row[OUTER])
    numbers = [re.search(r'running on thread (\d+)', row[n]).group(1) for n in (OUTER, NESTED, ABOVE, BELOW, VISITOR)]
    check(numbers[0] == numbers[1] and len(set(numbers)) == 4, 'each on its thread: %s' % numbers, output)
    check(sorted(rows(run('info portals 2,4-6'))) == [2, 4, 5, 6], 'some portals', run('info portals 2,4-6'))


def test_backtraces():
    for number, (_, name, functions) in list(enumerate(WAITING, 1)) + [(LAST, ON_OTHER_STACK)]:
        output = run('portal %d bt' % number)
        check_sane(output)
        check_order(functions, output)
        frames = [line for line in output.splitlines() if line.startswith('#')]
        check(not any(re.search(r'\b(greenback|asio)(::|_)|__morestack', line.replace('greenback_test', ''))
                      for line in frames), 'no internal frame is to be in', output)
        if number != 9:  # which has those of qsort, by whatever names
            check(len(frames) == len(functions), '%d frames are to be in' % len(functions), output)
        if debug != 'none' and name:
            check_match(r'^#\d+ .*\b%s \(.* at %s:%d$' % (name, SOURCE, LINES[name]), output)
        hidden = re.search(r'^\((\d+) frames of greenback, Asio and the standard library not shown: '
                           r'portal %d bt -all\)$' % number, output, re.MULTILINE)
        check(hidden is not None, 'the number of hidden frames is to be in', output)

        everything = run('portal %d bt -all' % number)
        check_sane(everything)
        check_order(functions + ['greenback_fiber_main', '__morestack'], everything)
        every_frame = [line for line in everything.splitlines() if line.startswith('#')]
        check(hidden and len(every_frame) == len(frames) + int(hidden.group(1)), 'what is hidden is to be counted in',
              everything)
        check('__morestack' in every_frame[-1], 'the entry of the fiber is to be the last of', everything)
        check('not shown' not in everything, 'nothing is hidden in', everything)


def test_running():
    for number in (OUTER, NESTED):
        output = run('portal %d bt' % number)
        check_sane(output)
        check_order(['all_in_place', 'nested_portal', 'runs_nested_loop', 'main'], output)
        check_match(r'\(\d+ frames of greenback.* portal %d bt -all\)' % number, output)
        check_order(['all_in_place', 'nested_portal', '__morestack', 'runs_nested_loop', '__morestack', 'main'],
                    run('portal %d bt -all' % number))
    for number in (ABOVE, BELOW):
        output = run('portal %d bt' % number)
        check_sane(output)
        check_order(['crunch', 'run'], output)
    output = run('portal %d bt' % VISITOR)
    check_sane(output)
    check_order(['run'], output)
    output = run('thread apply all bt')
    check_sane(output)
    check_order(['all_in_place', 'nested_portal', 'runs_nested_loop', 'main'], output[output.rindex('Thread 1 '):])
    check_match(r'^error: Portal 10 runs on thread 1.*: choose that by `thread 1`', run('portal 10'))
    # A command in one begins with its innermost frame, also where it has entered another portal.
    check_match(r'^#0 ', run('portal %d frame' % NESTED))
    check_match(r'^#\d+ .*runs_nested_loop', run('portal %d frame' % OUTER))


def test_choosing():
    before = run('info registers') + run('bt')
    selected = run('frame')
    output = run('portal 1')
    check_sane(output)
    check_match(r'^Portal 1 "mail session": ' + site('read_line'), output)
    check_match(r'^#\d+ .*read_line', output)
    if debug != 'none':
        check_in('line_number = 107', run('info locals'))
        check_in('session = 1', run('portal info args') + run('portal 1 info args'))
    check_match(r'^\* 1 ', run('info portals'))
    check_match(r'^Portal 1 "mail session"', run('portal'))
    output = run('bt')
    check_sane(output)
    check_order(['read_line', 'serve', 'serve_mail'], output)
    check('all_in_place' not in output, 'the thread\'s frame is not to be in', output)
    check_order(['read_line', 'serve', 'serve_mail', '__morestack'], run('portal bt -all'))
    run('up')
    check_match(r'^#\d+ .*\bserve\b', run('frame'))
    run('down')
    check_match(r'^#\d+ .*read_line', run('frame'))
    check_order(['read_line', 'compare'], run('portal 9 bt'))  # another one, for a moment
    check_match(r'^#\d+ .*read_line', run('frame'))
    if debug != 'none':
        check_in('line_number = 907', run('portal 9 info locals'))
        check_in('line_number = 107', run('info locals'))
    check_in('line_number = 807' if debug != 'none' else 'read_line',
             run('portal 8') + run('info locals'))  # from one to the other
    check(run('portal none') == '', 'nothing to be said')
    check_in('No portal is chosen', run('portal'))
    check(run('frame') == selected, 'the frame is to be the thread\'s again: ' + selected, run('frame'))
    check(run('info registers') + run('bt') == before, 'nothing is to have changed:' + before,
          run('info registers') + run('bt'))


def test_apply():
    output = run('portal apply all bt')
    check_sane(output)
    parts = re.split(r'^Portal (\d+)\b', output, flags=re.MULTILINE)
    check([int(n) for n in parts[1::2]] == list(range(1, LAST + 1)), 'each is to be in', output)
    for (_, _, functions), part in zip(WAITING, parts[2::2]):
        check_order(functions, part)
    some = run('portal apply 7,2-3 bt')
    check(re.findall(r'^Portal (\d+)\b', some, re.MULTILINE) == ['7', '2', '3'], 'three are to be in', some)
    wrong = run('portal apply 1-2 no_such_command')
    check(wrong.count('Undefined command: "no_such_command"') == 2, 'each says what is wrong in', wrong)
    check_sane(wrong)


def test_errors():
    check_match(r'^error: There is no portal 99: 15 portals\.', run('portal 99'))
    check_match(r'^error: There is no portal 0', run('portal 0'))
    check_match(r'^error: A portal\'s number', run('portal 3x'))
    check_match(r'^error: A portal\'s number', run('info portals all,3'))
    check_match(r'^error: No portal is chosen', run('portal bt'))
    check_match(r'^error: Usage', run('portal apply all'))
    check_match(r'^error: Undefined command: "nonsense"', run('portal 3 nonsense'))
    check_in('No portal is chosen', run('portal'))


def test_all():
    test_list()
    test_backtraces()
    test_running()
    test_choosing()
    test_apply()
    test_errors()


# ---- a process only -----------------------------------------------------------------------------------------------

def poke(form, address, value):
    gdb.selected_inferior().write_memory(address, int(value).to_bytes(form, 'little'))


def peek(size, address):
    return int.from_bytes(bytes(gdb.selected_inferior().read_memory(address, size)), 'little')


def test_broken_memory():
    """The test writes into the program what might be there if the program had gone wrong."""
    layout = gdb.parse_and_eval('(unsigned long)&greenback_debug_layout')
    version = peek(4, layout)
    poke(4, layout, 99)
    check_match(r'^error: The program has another version of greenback', run('info portals'))
    poke(4, layout, version)

    records = {p.number: p.address for p in gdb_greenback['all_portals']()}
    offset = {name: peek(4, layout + 4 * place) for place, name in enumerate(gdb_greenback['Layout'].NUMBERS)}

    def with_word(number, place, value, action):
        address = records[number] + place
        before = peek(8, address)
        poke(8, address, value)
        try:
            action()
        finally:
            poke(8, address, before)

    def list_is_complete():
        output = run('info portals')
        check_in('15 portals', output)
        check_sane(output)

    def can_not_be_chosen():
        list_is_complete()
        check_match(r'^error: The registers of this portal, at 0x10, can\'t be read', run('portal 2'))
        output = run('portal apply all bt')
        check_in('The registers of this portal', output)
        check_order(['read_line', 'compare'], output[output.index('Portal 9'):])

    for field in ('site', 'kind'):
        with_word(2, offset['portal'] + offset[field], 16, list_is_complete)
    with_word(2, offset['portal'], 16, list_is_complete)  # the address of the table of virtual functions
    with_word(2, offset['other'], 16, can_not_be_chosen)
    with_word(2, offset['magic'], 16, lambda: check_in('14 portals', run('info portals')))
    test_list()


def test_switches():
    """Wherever a switch is interrupted: nothing that goes wrong, and none that is lost."""
    output = run('tbreak jump_fcontext')
    if not output.startswith('Temporary breakpoint'):
        return  # since Boost 1.87 it may be hidden
    run('continue')
    states = set()
    for _ in range(45):
        output = run('info portals')
        check_match(r'^1[45] portals', output)  # the nested one has ended
        check_sane(output)
        for state in ('running or being left', 'being entered or left by thread'):
            if state in output:
                states.add(state)
                number = next(n for n, row in rows(output).items() if state in row)
                check_match(r'^error: Portal \d+ (runs, or is being left; no thread|'
                            r'is being entered or left on thread \d)', run('portal %d' % number))
                run('portal %d bt' % number)
        run('stepi')
    check(len(states) > 0, 'a switch was to be seen in between')


def test_goes_on():
    """The choice is dropped when the program goes on, which it does as if there had been none."""
    run('frame 1')
    run('portal none')
    check_match(r'^#1 ', run('frame'))  # nothing was chosen, and nothing happens
    for number, command in ((1, 'next' if debug != 'none' else 'nexti'), (3, 'nexti')):
        run('portal %d' % number)
        run(command)
        check_in('No portal is chosen', run('portal'))
        output = run('bt')
        check_order(['all_in_place', 'nested_portal', 'runs_nested_loop', 'main'], output)
        check_match(r'^#0 .*all_in_place', output)  # not in the function that it calls


def test_ends():
    run('portal 2')
    run('finish')  # it returns from the await, and from the function that was chosen
    check_in('No portal is chosen', run('portal'))
    check_match(r'^#0 .*\bserve\b', run('bt'))
    check_match(r'running on thread 1', run('info portals'))
    run('portal 3')
    run('continue')
    check(gdb.parse_and_eval('$_exitcode') == 0, 'the program is to end as it would have done')
    check_match(r'^error: There is no process', run('info portals'))
    check_in('No portal is chosen', run('portal'))


def load(script):
    """@returns the names that the script defines, for what no command shows"""
    gdb.execute('source ' + script)
    return vars(sys.modules['__main__'])


def everything_seen():
    """Without the numbers of threads, and their names, which a dump does not have; and without what gdb says of the
    registers that it does not have."""
    output = run('info portals') + run('portal apply all bt -all')
    output = re.sub(r'^warning: Section `\.reg.*\n', '', output, flags=re.MULTILINE)
    return re.sub(r'thread \d+( ".*?")?', 'a thread', output)


def live():
    run('file ' + program)
    check_match(r'^error: There is no process', run('info portals'))
    run('break main')
    run('break all_in_place')
    own_guards = debug == 'program'
    output = run('run' + (' guards' if own_guards else ''))
    if gdb.selected_thread() is None:
        skip_if_forbidden(output)
    check_in('No portals.', run('info portals'))
    run('continue')
    test_all()
    seen = everything_seen()
    core = os.path.join(work, 'core')
    check_in('Saved corefile', run('generate-core-file ' + core))
    test_goes_on()
    if debug == 'all':  # which makes no difference to these
        test_broken_memory()
        test_switches()
    run('delete')
    test_ends()

    run('core-file ' + core)
    seen_in_dump = everything_seen()
    if own_guards and '15 portals' not in seen_in_dump:
        check_match(r'^warning: \d+ stacks in use are not in this core dump', seen_in_dump)
    else:
        test_all()
        check(seen_in_dump == seen, 'the dump is to show what the process did: ' + seen, seen_in_dump)
    os.remove(core)
    run('core-file')
    check_match(r'^error: There is no process', run('info portals'))


def skip_if_forbidden(why):
    if not re.search(r'ptrace|[Nn]ot permitted|Could not trace', why):
        raise RuntimeError(why)
    gdb.write('skipped: this system does not let gdb trace a process: %s\n' % why)
    gdb.execute('quit %d' % SKIPPED)


def attached():
    process = subprocess.Popen([program, 'wait'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        run('file ' + program)
        output = run('attach %d' % process.pid)
        if output.startswith('error:'):
            skip_if_forbidden(output)
        test_all()
        run('detach')
        process.stdin.close()
        check(process.wait(60) == 0, 'the program ends as it would have done')
    finally:
        process.kill()


try:
    gdb_greenback = load(script)
    {'live': live, 'attached': attached}[how]()
    gdb.write('%d failures\n' % failures)
except Exception:
    traceback.print_exc()
    failures += 1
gdb.execute('quit %d' % (failures != 0))
