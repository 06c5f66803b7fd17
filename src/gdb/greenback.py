# SPDX-License-Identifier: MIT
"""gdb commands for greenback's portals.

    info portals              list them: what each is called, what it waits for and where
    portal N                  choose one that is suspended: bt, up, frame, info locals, ... then concern it
    portal N COMMAND          one command in it, `portal 3 bt` for instance
    portal apply all COMMAND  a command in each
    portal none               back to the thread

Load it by `source greenback.py`, or have gdb load it with the library (as `libgreenback.so.<version>-gdb.py` where gdb
looks for such files). It works on a process, started or attached to, and on a core dump, whether program and
library have debug information or not; their symbols must be there. Nothing is called in the program, and nothing
written to it.
"""

import bisect
import functools
import re
import struct

import gdb
import gdb.unwinder
from gdb.FrameDecorator import FrameDecorator

# ---- The program's memory ---------------------------------------------------------------------------------------

PAGE = 4096


def read(address, size):
    return bytes(gdb.selected_inferior().read_memory(address, size))


def read_u64(address):
    return struct.unpack('<Q', read(address, 8))[0]


def read_string(address, longest=8192):
    """The characters up to the zero. A piece at a time, none of which goes beyond the end of a page."""
    text = b''
    while len(text) < longest:
        piece = read(address, PAGE - address % PAGE)
        end = piece.find(b'\0')
        if end >= 0:
            text += piece[:end]
            break
        text += piece
        address += len(piece)
    return text[:longest].decode(errors='replace')


# ---- What the library says of itself: src/debug_layout.hpp --------------------------------------------------------

class Layout:
    """The fields of `greenback_debug_layout`, by their names."""

    VERSION = 1
    NUMBERS = ('version', 'record_size', 'other', 'busy', 'magic', 'stack_size', 'stack_top', 'argument', 'next',
               'portal', 'site', 'kind', 'kind_executor', 'kind_backend', 'kind_outside', 'forbidden_backend',
               'class_count', 'class_bytes', 'class_size', 'class_stride', 'class_newest', 'region_base',
               'region_slots', 'region_older', 'region_handed_out', 'labels_older', 'labels_count', 'labels_texts',
               'unused')
    POINTERS = ('magic_value', 'classes', 'first_elsewhere', 'newest_labels', 'unprepared_kind', 'abandoned_kind')

    def __init__(self):
        if gdb.lookup_type('char').pointer().sizeof != 8:
            raise gdb.GdbError('These commands are for 64-bit programs.')
        address = self._find()
        try:
            version, = struct.unpack('<I', read(address, 4))
            if version != self.VERSION:
                raise gdb.GdbError('The program has another version of greenback than this script is for (its debug '
                                   'layout is %d, not %d): source the one that was installed with it.' %
                                   (version, self.VERSION))
            form = '<%dI' % len(self.NUMBERS) + '4x' * (len(self.NUMBERS) % 2) + '%dQ' % len(self.POINTERS)
            values = struct.unpack(form, read(address, struct.calcsize(form)))
        except gdb.MemoryError:
            raise gdb.GdbError('greenback_debug_layout, at %#x, can\'t be read: is the program that of the core dump?' %
                               address)
        self.__dict__.update(zip(self.NUMBERS + self.POINTERS, values))

    @staticmethod
    def _find():
        try:
            return int(gdb.parse_and_eval('&greenback_debug_layout'))
        except gdb.error:
            raise gdb.GdbError('There is no symbol greenback_debug_layout: greenback is not in this program, or not '
                               'loaded yet, or the program\'s symbols are stripped.')


# Where Boost.Context keeps the registers of who has left, from the address of its context: src/saved_context.hpp.
class X86_64:
    registers = {'r12': 0x10, 'r13': 0x18, 'r14': 0x20, 'r15': 0x28, 'rbx': 0x30, 'rbp': 0x38}
    pc, sp, pc_place, size = 'rip', 'rsp', 0x40, 0x48
    red_zone_back, red_zone = bytes((0x48, 0x8d, 0xa4, 0x24, 0x80, 0, 0, 0)), 128

    @classmethod
    def resume(cls, pc, sp):
        """The fiber may go on with `leaq 128(%rsp), %rsp`, which call frame information knows nothing of."""
        try:
            if read(pc, len(cls.red_zone_back)) == cls.red_zone_back:
                return pc + len(cls.red_zone_back), sp + cls.red_zone
        except gdb.MemoryError:
            pass  # a core dump need not have the code; then the program's file is missing, too
        return pc, sp


class AArch64:
    registers = dict([('x%d' % (19 + i), 0x40 + 8 * i) for i in range(10)] + [('x29', 0x90), ('x30', 0x98)])
    pc, sp, pc_place, size = 'pc', 'sp', 0xa0, 0xb0
    red_zone = 0

    @staticmethod
    def resume(pc, sp):
        return pc, sp


def architecture():
    name = gdb.selected_inferior().architecture().name()
    if name.startswith('i386:x86-64'):
        return X86_64
    if name == 'aarch64':
        return AArch64
    raise gdb.GdbError('How Boost.Context saves registers on %s is not known here: portals can be listed, but not '
                       'chosen.' % name)


def saved_registers(context):
    """What the registers of a fiber that is out will be when it has gone on."""
    a = architecture()
    try:
        raw = read(context, a.size)
    except gdb.MemoryError:
        raise gdb.GdbError('The registers of this portal, at %#x, can\'t be read.' % context)
    registers = {name: struct.unpack_from('<Q', raw, place)[0] for name, place in a.registers.items()}
    registers[a.pc], registers[a.sp] = a.resume(struct.unpack_from('<Q', raw, a.pc_place)[0], context + a.size)
    return registers


# ---- Names --------------------------------------------------------------------------------------------------------

@functools.lru_cache(maxsize=4096)
def type_of_mangled(name):
    """The type whose std::type_info has this name."""
    symbol = '_ZTI' + name.lstrip('*')
    try:
        text = gdb.execute('demangle -l c++ -- ' + symbol, to_string=True).strip()
    except gdb.error:
        return name
    prefix = 'typeinfo for '
    return text[len(prefix):] if text.startswith(prefix) else name


def operation_of(function):
    """The type of the operation out of the name of `use_portal`'s function: see src/call_site.hpp."""
    label, following = 'Initiation = ', ' InitArgs = '
    start = function.find(label)
    if start < 0:
        return None
    rest = function[start + len(label):]
    end = rest.find(following)
    return rest if end <= 0 else rest[:end - 1]


def without_template_arguments(function):
    """A function's name as std::source_location has it, without what the compiler says of its template parameters."""
    for opening in (' [with ', ' ['):
        place = function.find(opening)
        if place > 0 and function.endswith(']'):
            return function[:place]
    return function


# None of these opens or closes anything.
NO_BRACKETS = re.compile(r'\boperator\s*(\(\)|\[\]|<=>|<<=?|>>=?|->\*?|[<>]=?)|'
                         r'\(anonymous namespace\)|decltype\(auto\)')


def outside_of_brackets(function):
    """The places of a function's name as gdb has it, up to its parameters, that stand in no < > or { }; and where those
    begin."""
    text = NO_BRACKETS.sub(lambda match: '_' * len(match.group()), function)
    places, depth = [], 0
    for place, c in enumerate(text):
        if c in '<{[':
            depth += 1
        elif c in '>}]':
            depth -= 1
        elif depth == 0:
            if c == '(':
                return places, place
            places.append(place)
    return places, len(text)


@functools.lru_cache(maxsize=65536)
def bare_name(function):
    """namespace::class::function, without result, parameters and template arguments. gdb's names have a result and
    parameters where there is no debug information."""
    places, _ = outside_of_brackets(function)
    words = ''.join(function[place] for place in places).replace('(anonymous namespace)', '').split()
    return words[-1] if words else ''


@functools.lru_cache(maxsize=65536)
def without_parameters(function):
    return function[:outside_of_brackets(function)[1]].rstrip()


# Between an application's functions there are these: nobody debugs a program by them.
INTERNAL = re.compile(r'''
    (boost::)?(greenback|asio|asio_handler_invoke_helpers)::
  | boost_asio_handler_\w+::
  | boost::context::
  | greenback_(fiber|visit)_
  | (__morestack|(jump|make|ontop)_fcontext)$
  | std::(__\w+::)*(
        (__)?invoke | (__)?apply | (reference_wrapper|function|move_only_function)::operator | _Function_handler
      | __function:: | (experimental::)?coroutine_handle | thread::_
    )
''', re.VERBOSE)


# By its file what has no name that tells: gdb need not say what a lambda, or a class in a function, is a part of.
INTERNAL_FILE = re.compile(r'(^|/)(include/greenback|asio/(detail|impl|experimental))/.*\.[hi]pp$')


def is_internal(frame):
    name = frame.name()
    if name is None:
        return False
    if INTERNAL.match(bare_name(name)):
        return True
    symtab = frame.find_sal().symtab
    return symtab is not None and INTERNAL_FILE.search(symtab.filename) is not None


# ---- Portals ------------------------------------------------------------------------------------------------------

class Site:
    """A std::source_location: where something was awaited, if anything was."""

    def __init__(self, address):
        file, function, self.line = struct.unpack('<QQI', read(address, 20))
        self.file = read_string(file) if file else ''
        self.function = read_string(function) if function else ''

    def __str__(self):
        if self.file.endswith('use_portal.hpp'):
            return 'use_portal of %s' % (operation_of(self.function) or 'an operation')
        if self.file.endswith('blocking_calls/libc_calls.cpp'): # see src/call_site.hpp
            call = re.search(r'greenback_(\w+)\(', self.function)
            return 'a wait in %s' % (call.group(1) if call else 'libc')
        return 'await_ at %s:%d in %s' % (self.file, self.line, without_template_arguments(self.function))


class Portal:
    """One portal, as it was when the program stopped."""

    def __init__(self, found_by, address, record):
        layout = found_by.layout

        def u64(offset):
            return struct.unpack_from('<Q', record, offset)[0]
        self.number = 0
        self.address = address
        self.top, self.size = u64(layout.stack_top), u64(layout.stack_size)
        other = u64(layout.other)
        self.is_out = other % 2 == 0
        self.context = other & ~1  # its own while it is out, its resumer's while it is in
        self.thread = None         # which is on its stack, or has entered another portal from there
        self.entered = None        # that other one
        self.label = found_by.label(u64(layout.argument))
        self.kind, self.executor = found_by.kind(u64(layout.portal + layout.kind))
        self.site = None
        if self.kind != layout.unprepared_kind:
            self.site = found_by.site(u64(layout.portal + layout.site))
        self.is_abandoned = self.kind == layout.abandoned_kind
        self.is_of_coroutine = found_by.is_coroutine_portal(u64(layout.portal))

    def holds(self, address):
        return self.top - self.size <= address < self.top

    @property
    def can_be_chosen(self):
        return self.is_out and self.thread is None

    @property
    def use(self):
        size = '%d KiB' % (self.size // 1024)
        if self.can_be_chosen and self.holds(self.context):
            return '%d of %s' % (-((self.context - self.top) // 1024), size)
        return size

    @property
    def state(self):
        parts = []
        if self.is_out and self.thread is not None:
            parts.append('being entered or left by %s' % thread_name(self.thread))
        elif self.is_out and self.is_of_coroutine:
            # Its task may have gone on since, and wait in a coroutine's co_await.
            parts.append('suspended, last %s' % self.site if self.site else 'suspended in a co_await')
        elif self.is_out:
            parts.append(str(self.site) if self.site else 'suspended')
        else:
            where = 'on ' + thread_name(self.thread) if self.thread else 'or being left: no thread is on its stack'
            if self.entered:
                where += ', has entered portal %d' % self.entered.number
            parts.append('running ' + where + (', last %s' % self.site if self.site else ''))
        if self.is_abandoned:
            parts.append('its task is being destroyed')
        return '; '.join(parts)

    @property
    def title(self):
        label = ' "%s"' % self.label if self.label else ''
        return 'Portal %d%s: %s' % (self.number, label, self.state)


def thread_name(thread):
    return 'thread %d%s' % (thread.num, ' "%s"' % thread.name if thread.name else '')


def memoised(function):
    """For a method of one argument, a place in memory: what can't be read is None, and asked for once."""
    attribute = '_seen_by_' + function.__name__

    @functools.wraps(function)
    def wrapper(self, address):
        seen = self.__dict__.setdefault(attribute, {})
        if address not in seen:
            try:
                seen[address] = function(self, address)
            except (gdb.MemoryError, struct.error):
                seen[address] = None
        return seen[address]
    return wrapper


class Finder:
    """Walks the stacks of the pool, and the fibers on other allocators' stacks. What can't be read is left out."""

    MOST = 1 << 24  # of anything: a list that is longer is a broken one

    def __init__(self):
        self.layout = Layout()
        self.missing = 0  # records where there is nothing: of fibers that are just being made, or not in the dump
        self._labels = self._read_labels()

    def portals(self):
        found = []
        for address in self._records():
            portal = self._portal_at(*address)
            if portal:
                found.append(portal)
        for number, portal in enumerate(found, 1):
            portal.number = number
        Threads().assign_to(found)
        return found

    # -- the parts of a portal --

    @memoised
    def site(self, address):
        site = Site(address) if address else None
        return site if site and site.line else None

    def kind(self, address):
        """The kind behind those of scopes that forbid to await, and the name of the executor's type."""
        for _ in range(1000):
            kind = self._kind(address)
            if kind is None or kind[0] is None:
                break
            address = kind[0]
        return address, kind[1] if kind else None

    @memoised
    def _kind(self, address):
        layout = self.layout
        backend, = struct.unpack('<i', read(address + layout.kind_backend, 4))
        if backend == struct.unpack('<i', struct.pack('<I', layout.forbidden_backend))[0]:
            return read_u64(address + layout.kind_outside), None
        if address in (layout.unprepared_kind, layout.abandoned_kind):
            return None, None
        type_info = read_u64(address + layout.kind_executor)
        return None, type_of_mangled(read_string(read_u64(type_info + 8)))

    def is_coroutine_portal(self, vtable):
        return 'coroutine_portal<' in (self._symbol_at(vtable) or '')

    @memoised
    def _symbol_at(self, address):
        return gdb.execute('info symbol %#x' % address, to_string=True)

    def label(self, argument):
        for texts, count in self._labels:
            if 0 <= argument - texts < 8 * count:
                return self._label(argument - (argument - texts) % 8)
        return None

    @memoised
    def _label(self, place):
        return read_string(read_u64(place))

    def _read_labels(self):
        layout, tables = self.layout, []
        try:
            table = read_u64(layout.newest_labels)
            while table and len(tables) < self.MOST:
                tables.append((table + layout.labels_texts, read_u64(table + layout.labels_count)))
                table = read_u64(table + layout.labels_older)
        except gdb.MemoryError:
            pass
        return tables

    # -- the places of records --

    def _portal_at(self, address, must_be_marked):
        layout = self.layout
        try:
            record = read(address, layout.record_size)
        except gdb.MemoryError:
            record = b''
        if not record.strip(b'\0'):
            self.missing += 1
            return None
        try:
            marked = struct.unpack_from('<Q', record, layout.magic)[0] == layout.magic_value
            if record[layout.busy] and (marked or not must_be_marked):
                return Portal(self, address, record)
        except (gdb.MemoryError, struct.error):
            pass
        return None

    def _records(self):
        layout = self.layout
        try:
            first = read_u64(layout.classes)
            classes = read(first, layout.class_count * layout.class_bytes)
        except gdb.MemoryError:
            classes = b''
        for start in range(0, len(classes), layout.class_bytes):
            newest, stride = (struct.unpack_from('<Q', classes, start + offset)[0]
                              for offset in (layout.class_newest, layout.class_stride))
            for base, states in reversed(list(self._regions(newest))):  # the oldest first
                for index, state in enumerate(states):
                    if state == 0:  # in use
                        yield (base + (index + 1) * stride - layout.record_size) & ~63, True
        try:
            fiber = read_u64(read_u64(layout.first_elsewhere))
            for _ in range(self.MOST):
                if not fiber:
                    break
                yield fiber, False
                fiber = read_u64(fiber + layout.next)
        except gdb.MemoryError:
            pass

    def _regions(self, region):
        layout = self.layout
        while region:
            try:
                count, = struct.unpack('<I', read(region + layout.region_handed_out, 4))
                if 0 < count < self.MOST:
                    base, slots = read_u64(region + layout.region_base), read_u64(region + layout.region_slots)
                    yield base, struct.unpack('<%dI' % count, read(slots, 4 * count))
                region = read_u64(region + layout.region_older)
            except gdb.MemoryError:
                return


class Threads:
    """Which thread is on which portal's stack."""

    MOST_FRAMES = 1000

    def assign_to(self, portals):
        by_bottom = sorted(portals, key=lambda p: p.top - p.size)
        bottoms = [p.top - p.size for p in by_bottom]

        def holding(address):
            place = bisect.bisect_right(bottoms, address) - 1
            return by_bottom[place] if place >= 0 and by_bottom[place].holds(address) else None

        with kept_selection(), not_chosen():
            threads = gdb.selected_inferior().threads()
            for thread in threads:
                self._follow_resumers(thread, holding)
            # Those that are on another allocator's stack, or visit the stack of their task, are found by unwinding.
            lost = [p for p in portals if not p.is_out and p.thread is None]
            if lost:
                for thread in threads:
                    self._look_at_frames(thread, holding, lost)

    @staticmethod
    def _follow_resumers(thread, holding):
        try:
            thread.switch()
            portal = holding(int(gdb.newest_frame().read_register('sp')))
        except gdb.error:
            return  # it runs, or its registers are not there
        inner = None
        while portal and portal.thread is None:
            portal.thread, portal.entered = thread, inner
            inner, portal = portal, None if portal.is_out else holding(portal.context)

    def _look_at_frames(self, thread, holding, lost):
        try:
            a = architecture()
            resumers = {p.context + a.size: p for p in lost}
            resumers.update({p.context + a.size + a.red_zone: p for p in lost})
            thread.switch()
            frame = gdb.newest_frame()
            for _ in range(self.MOST_FRAMES):
                sp = int(frame.read_register('sp'))
                for portal in (holding(sp), resumers.get(sp)):
                    if portal and portal.thread is None:
                        portal.thread = thread
                frame = frame.older()
                if frame is None:
                    break
        except (gdb.error, gdb.GdbError):
            pass


def all_portals():
    if gdb.selected_thread() is None:
        raise gdb.GdbError('There is no process and no core dump to look at.')
    finder = Finder()
    portals = finder.portals()
    connection = gdb.selected_inferior().connection
    if finder.missing and connection is not None and connection.type == 'core':
        print('warning: %s not in this core dump. Those that gdb writes (gcore) lack what is near a guard that the '
              'kernel has made without a mapping (Linux 6.13 and later); the kernel\'s own have all of it.' %
              ('A stack in use is' if finder.missing == 1 else '%d stacks in use are' % finder.missing))
    return portals


def chosen_of(portals, numbers):
    """The portals of a list such as `2,5-7`, or of all."""
    if numbers == 'all':
        return portals
    wanted = []
    for part in numbers.split(','):
        match = re.fullmatch(r'(\d+)(?:-(\d+))?', part)
        if not match:
            raise gdb.GdbError('A portal\'s number, or several as in 2,5-7, or all: not "%s".' % numbers)
        first = int(match.group(1))
        last = int(match.group(2) or first)
        if not 1 <= first <= last <= len(portals):
            raise gdb.GdbError('There is no portal %s: %s.' % (part, counted(len(portals), 'portal')))
        wanted += portals[first - 1:last]
    return wanted


def counted(n, noun):
    return '1 ' + noun if n == 1 else '%d %ss' % (n, noun)


# ---- The portal that is chosen ------------------------------------------------------------------------------------

class PortalUnwinder(gdb.unwinder.Unwinder):
    """While a portal is chosen, says that the thread's innermost frame was called by the portal's innermost one. So gdb
    shows the portal's frames, from 1 on, and the thread's registers stay what they are."""

    def __init__(self):
        super().__init__('greenback portal')
        self.enabled = False
        self.portal = self.registers = self.thread = self.here = None
        self.past_main = None  # the user's setting, while ours is in force

    def choose(self, portal):
        """`portal` may be None. @throws gdb.GdbError"""
        registers = saved_registers(portal.context) if portal else None
        here = thread = None
        if portal:
            frame = gdb.newest_frame()
            here = int(frame.read_register('pc')), int(frame.read_register('sp'))
            thread = gdb.selected_thread().ptid
        self.restore((portal, registers, thread, here))

    def state(self):
        return self.portal, self.registers, self.thread, self.here

    def restore(self, state):
        self.portal, self.registers, self.thread, self.here = state
        self.enabled = self.portal is not None
        self._go_past_main(self.enabled)
        gdb.invalidate_cached_frames()

    def _go_past_main(self, on):
        """A portal's stack doesn't end with `main`. Where it has a coroutine that was inlined there, g++ 12 may tell that
        the rest of the coroutine is a part of it, too, and gdb would stop."""
        if on == (self.past_main is not None):
            return
        if on:
            self.past_main = gdb.parameter('backtrace past-main')
        wanted = True if on else self.past_main
        if not on:
            self.past_main = None
        gdb.execute('set backtrace past-main ' + ('on' if wanted else 'off'), to_string=True)

    def drop(self):
        """The program goes on, or is another one. Not a moment to look at threads."""
        if self.portal:
            self.restore((None, None, None, None))

    def is_in_force(self):
        thread = gdb.selected_thread()
        return self.portal is not None and thread is not None and thread.ptid == self.thread

    def __call__(self, pending_frame):
        # Not that of level 0: functions that are inlined there have lower levels. Those that have called it are not at
        # this instruction with this stack pointer.
        if not self.is_in_force() or \
                self.here != (int(pending_frame.read_register('pc')), int(pending_frame.read_register('sp'))):
            return None
        a = architecture()

        class FrameId:
            sp = gdb.Value(self.registers[a.sp] - 16)  # below the portal's, or gdb would take the stack for broken
            pc = pending_frame.read_register(a.pc)
        unwind_info = pending_frame.create_unwind_info(FrameId)
        for name, value in self.registers.items():
            register_type = pending_frame.read_register(name).type
            unwind_info.add_saved_register(name, gdb.Value(value).cast(register_type))
        return unwind_info


class WithoutParameters(FrameDecorator):
    """A function's name as `bt` has it where there is no filter."""

    def function(self):
        name = super().function()
        return without_parameters(name) if isinstance(name, str) else name


class PortalFrames:
    """A frame filter: leaves out the frame that is the thread's, and those that are nobody's of the program."""

    def __init__(self):
        self.name = 'greenback portal'
        self.priority = 1000
        self.shows_internal = False
        self.of_thread = 0  # for the backtrace of a running portal, which is its thread's: the portal's number
        gdb.frame_filters[self.name] = self

    @property
    def enabled(self):
        return self.of_thread != 0 or unwinder.is_in_force()

    @enabled.setter
    def enabled(self, value):
        pass  # by `enable frame-filter`, which is not asked for

    def filter(self, frames):
        hidden = 0
        is_of_thread = not self.of_thread  # as far as the thread's innermost frame, with what is inlined there
        for decorated in frames:
            frame = decorated.inferior_frame()
            if is_of_thread:
                is_of_thread = frame.type() == gdb.INLINE_FRAME
                continue
            if frame.pc() == 0:
                continue
            if not self.shows_internal and is_internal(frame):
                hidden += 1
                continue
            yield WithoutParameters(decorated)
        if hidden:
            gdb.write('(%s of greenback, Asio and the standard library not shown: portal %d bt -all)\n' %
                      (counted(hidden, 'frame'), self.of_thread or unwinder.portal.number))


unwinder = PortalUnwinder()
frames_filter = None  # made below


class kept_selection:
    """Restores the thread and the frame that were selected."""

    def __enter__(self):
        self.thread = gdb.selected_thread()
        try:
            self.frame = gdb.selected_frame()
        except gdb.error:
            self.frame = None

    def __exit__(self, *_):
        try:
            if self.thread and self.thread.is_valid():
                self.thread.switch()
                if self.frame and self.frame.is_valid():
                    self.frame.select()
        except gdb.error:
            pass  # the command has ended the program


class chosen:
    """A portal for the time being."""

    def __init__(self, portal):
        self.portal = portal

    def __enter__(self):
        self.before = unwinder.state()
        unwinder.choose(self.portal)
        self.now = unwinder.portal

    def __exit__(self, *_):
        if unwinder.portal is self.now:  # else the command has run the program
            unwinder.restore(self.before)


def not_chosen():
    return chosen(None)


def select_first_frame():
    """The innermost frame of the chosen portal that is the program's own, else its innermost."""
    frame = gdb.newest_frame()
    while frame.type() == gdb.INLINE_FRAME:
        frame = frame.older()
    innermost = frame = frame.older()
    if innermost is None:
        raise gdb.GdbError('The stack of this portal can\'t be read.')
    for _ in range(Threads.MOST_FRAMES):
        if frame is None or frame.pc() == 0:
            break
        if not is_internal(frame):
            frame.select()
            return
        frame = frame.older()
    innermost.select()


def select_first_frame_of_thread(portal):
    """The same for a portal that runs, on its thread."""
    portal.thread.switch()
    frame = gdb.newest_frame()
    for _ in range(Threads.MOST_FRAMES):
        if frame is None:
            break
        if portal.holds(int(frame.read_register('sp'))) and not is_internal(frame):
            frame.select()
            return
        frame = frame.older()
    gdb.newest_frame().select()


# ---- Commands -----------------------------------------------------------------------------------------------------

def reports_errors(invoke):
    """gdb.GdbError is printed as it is; of other errors gdb says that they come from a script."""
    @functools.wraps(invoke)
    def wrapper(*arguments):
        try:
            return invoke(*arguments)
        except gdb.GdbError:
            raise
        except gdb.error as e:  # of which gdb.MemoryError is one
            raise gdb.GdbError(str(e).replace('Error occurred in Python: ', ''))
    return wrapper


class InfoPortals(gdb.Command):
    """List the portals of the program.
Usage: info portals [NUMBER[-NUMBER],...]

For each its number, its label, how much of its stack is in use, the executor type of its task, and what it waits for:
the await_, by file, line and function, or the operation that use_portal has started; for one that runs the thread. The
one that is chosen is marked by an asterisk. The numbers are valid until the program goes on."""

    def __init__(self):
        super().__init__('info portals', gdb.COMMAND_STATUS, gdb.COMPLETE_NONE)

    @reports_errors
    def invoke(self, argument, from_tty):
        portals = all_portals()
        shown = chosen_of(portals, argument.replace(' ', '') or 'all')
        if not shown:
            print('No portals.')
            return
        chosen_address = unwinder.portal.address if unwinder.is_in_force() else None
        rows = [(' ', 'Num', 'Label', 'Stack', 'Executor', 'State')]
        for p in shown:
            rows.append(('*' if p.address == chosen_address else ' ', str(p.number), p.label or '', p.use,
                         p.executor or '', p.state))
        widths = [min(max(len(row[i]) for row in rows), 40) for i in range(5)]
        lines = []
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, widths)]
            lines.append(('%s %s  %s  %s  %s  %s' % (*cells, row[5])).rstrip())
        suspended = sum(p.is_out for p in shown)
        lines.append('%s, %d suspended' % (counted(len(shown), 'portal'), suspended))
        print('\n'.join(lines))


class PortalCommand(gdb.Command):
    """Choose a portal, or run a command in one.
Usage: portal              which portal is chosen
       portal N            choose portal N, which is suspended: bt, up, frame, info locals, ... then concern it, until
                           the program goes on
       portal none         back to the thread
       portal N COMMAND    run COMMAND in portal N
       portal apply NUMBERS COMMAND
                           run COMMAND in each: NUMBERS are all, or as in 2,5-7
       portal COMMAND      run COMMAND in the chosen portal

`portal N bt` leaves out the frames of greenback, Asio and the standard library; `portal N bt -all` shows them. Frame 0
is the thread's; those of the portal follow it. `finish` lets the program run until the portal's function returns; with
`step` and `next` the thread goes on. A portal that runs is its thread's: `portal N bt` shows that, and to choose it,
choose the thread."""

    def __init__(self):
        super().__init__('portal', gdb.COMMAND_STACK, gdb.COMPLETE_NONE)

    @reports_errors
    def invoke(self, argument, from_tty):
        first, _, rest = argument.strip().partition(' ')
        rest = rest.strip()
        if not first:
            print(unwinder.portal.title if unwinder.is_in_force() else 'No portal is chosen.')
        elif first == 'none' and not rest:
            self._back_to_thread()
        elif first == 'apply':
            numbers, _, command = rest.partition(' ')
            if not command.strip():
                raise gdb.GdbError('Usage: portal apply NUMBERS COMMAND')
            self._apply(numbers, command.strip())
        elif re.match(r'\d', first):
            portal, = self._one_of(all_portals(), first)
            if rest:
                self._run(portal, rest)
            else:
                self._choose(portal)
        elif unwinder.is_in_force():
            self._run(unwinder.portal, argument.strip())
        else:
            raise gdb.GdbError('No portal is chosen: `info portals` lists them, and `portal N` chooses one.')

    @staticmethod
    def _one_of(portals, number):
        if not number.isdigit():
            raise gdb.GdbError('A portal\'s number, not "%s".' % number)
        return chosen_of(portals, number)

    @staticmethod
    def _choose(portal):
        if not portal.can_be_chosen:
            where = ' on %s: choose that by `thread %d`' % (thread_name(portal.thread), portal.thread.num) \
                if portal.thread else ', or is being left; no thread is on its stack'
            verb = 'is being entered or left' if portal.is_out else 'runs'
            raise gdb.GdbError('Portal %d %s%s.' % (portal.number, verb, where))
        unwinder.choose(portal)
        try:
            select_first_frame()
        except (gdb.error, gdb.GdbError):
            unwinder.choose(None)
            raise
        print(portal.title)
        gdb.execute('frame')

    @staticmethod
    def _back_to_thread():
        if unwinder.portal:
            unwinder.choose(None)
            gdb.newest_frame().select()

    def _apply(self, numbers, command):
        for portal in chosen_of(all_portals(), numbers):
            print('\n' + portal.title)
            try:
                self._run(portal, command)
            except (gdb.error, gdb.GdbError) as e:
                print(str(e))  # the others may be all right
            if not gdb.selected_thread():
                break  # the command has ended the program

    def _run(self, portal, command):
        with kept_selection():
            if portal.can_be_chosen:
                with chosen(portal):
                    select_first_frame()
                    self._execute(command)
            elif portal.thread:
                with not_chosen():
                    select_first_frame_of_thread(portal)
                    self._execute(command, of_thread=portal.number)
            else:
                raise gdb.GdbError('Portal %d runs, or is being left; no thread is on its stack.' % portal.number)

    @staticmethod
    def _execute(command, of_thread=0):
        words = command.split()
        is_backtrace = words[0] in ('bt', 'backtrace', 'where')
        shows_internal = is_backtrace and '-all' in words
        if shows_internal:
            words.remove('-all')
            command = ' '.join(words)
        frames_filter.shows_internal, frames_filter.of_thread = shows_internal, of_thread if is_backtrace else 0
        try:
            gdb.execute(command)
        finally:
            frames_filter.shows_internal, frames_filter.of_thread = False, 0


# ---- Registration -------------------------------------------------------------------------------------------------

def drop_choice(_event=None):
    unwinder.drop()


def define_hook(command):
    """`portal none` before a command that begins with the thread's innermost frame: it must not be taken for one that
    the portal has called. By the time of gdb.events.cont the command has looked at it."""
    hook, body = 'hook-' + command, 'portal none'
    try:
        if body not in gdb.execute('show user ' + hook, to_string=True):
            return  # the user has one
    except gdb.error:
        pass  # there is none
    gdb.execute('define %s\n%s\nend' % (hook, body), to_string=True)


def define_hooks(_event=None):
    for stepping in ('step', 'next', 'stepi', 'nexti', 'until', 'return',
                     'reverse-step', 'reverse-next', 'reverse-stepi', 'reverse-nexti'):
        define_hook(stepping)
    if _event:
        gdb.events.stop.disconnect(define_hooks)


gdb.unwinder.register_unwinder(None, unwinder, True)
frames_filter = PortalFrames()
for event in ('cont', 'exited', 'new_objfile', 'clear_objfiles'):
    getattr(gdb.events, event).connect(drop_choice)
InfoPortals()
PortalCommand()
# gdb loads this file by itself, with the library, in the middle of `run`: a command that is executed there would make
# `run` return before the program has stopped.
if gdb.current_objfile():
    gdb.events.stop.connect(define_hooks)
else:
    define_hooks()
