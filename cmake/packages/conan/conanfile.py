# SPDX-License-Identifier: MIT
"""Conan's recipe of greenback, of the source tree that it lies in:

    conan create cmake/packages/conan -s compiler.cppstd=20 --build=missing
"""

import os
import re

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load, rmdir

required_conan_version = '>=2.0'

X86 = ('x86_64', 'x86')


class GreenbackConan(ConanFile):
    name = 'greenback'
    description = 'Await from synchronous code inside Asio C++20 coroutines'
    license = 'MIT'
    topics = ('asio', 'coroutine', 'fiber', 'async', 'await')
    package_type = 'library'
    settings = 'os', 'arch', 'compiler', 'build_type'
    options = {
        'shared': [True, False],
        'fPIC': [True, False],
        'with_boost_asio': [True, False],
        'blocking_calls': [True, False],
    }
    default_options = {'shared': False, 'fPIC': True, 'with_boost_asio': False, 'blocking_calls': True}
    implements = ['auto_shared_fpic']

    @property
    def _sources(self):
        return os.path.join(self.recipe_folder, '..', '..', '..')

    def set_version(self):
        text = load(self, os.path.join(self._sources, 'CMakeLists.txt'))
        self.version = re.search(r'\n    VERSION ([0-9.]+)\n', text).group(1)

    def export_sources(self):
        for pattern in ('CMakeLists.txt', 'LICENSE', 'cmake/*', 'include/*', 'src/*'):
            copy(self, pattern, self._sources, self.export_sources_folder, excludes='cmake/packages/*')

    def config_options(self):
        if self.settings.os != 'Linux':
            del self.options.blocking_calls

    def layout(self):
        cmake_layout(self)

    def requirements(self):
        self.requires('boost/[>=1.81 <2]', transitive_headers=True, transitive_libs=True)
        if not self.options.with_boost_asio:
            self.requires('asio/[>=1.22.1 <2]', transitive_headers=True)

    def validate(self):
        check_min_cppstd(self, 20)

    def generate(self):
        toolchain = CMakeToolchain(self)
        variables = toolchain.cache_variables
        variables['GREENBACK_USE_BOOST_ASIO'] = bool(self.options.with_boost_asio)
        variables['GREENBACK_BUILD_BLOCKING_CALLS'] = bool(self.options.get_safe('blocking_calls', False))
        variables['GREENBACK_BUILD_TESTS'] = False
        variables['GREENBACK_BUILD_EXAMPLES'] = False
        if not self.options.with_boost_asio:
            variables['Asio_INCLUDE_DIR'] = self.dependencies['asio'].cpp_info.aggregated_components().includedirs[0]
        toolchain.generate()
        CMakeDeps(self).generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()
        copy(self, 'LICENSE', self.source_folder, os.path.join(self.package_folder, 'licenses'))
        # Conan writes its own.
        rmdir(self, os.path.join(self.package_folder, 'lib', 'cmake'))
        rmdir(self, os.path.join(self.package_folder, 'lib', 'pkgconfig'))

    def package_info(self):
        # What greenback's own CMake targets say. Conan builds for each compiler, so what depends on it is known here.
        library = self.cpp_info.components['greenback']
        library.set_property('cmake_target_name', 'greenback::greenback')
        library.set_property('pkg_config_name', 'greenback')
        library.libs = ['greenback']
        library.requires = ['boost::context']
        library.system_libs = ['pthread'] if self.settings.os == 'Linux' else []
        asio = 'ASIO'
        if self.options.with_boost_asio:
            asio = 'BOOST_ASIO'
            library.requires.append('boost::headers')
            library.defines.append('GREENBACK_USE_BOOST_ASIO=1')
        else:
            library.requires.append('asio::asio')
            library.defines.append('ASIO_HAS_CO_AWAIT=1')
        if self.settings.compiler != 'gcc' or self.settings.arch not in X86:
            library.defines.append(asio + '_DISABLE_THREAD_KEYWORD_EXTENSION=1')

        if self.options.get_safe('blocking_calls', False):
            calls = self.cpp_info.components['blocking_calls']
            calls.set_property('cmake_target_name', 'greenback::blocking_calls')
            calls.set_property('pkg_config_name', 'greenback-blocking-calls')
            calls.libs = ['greenback_blocking_calls']
            calls.requires = ['greenback']
            calls.system_libs = ['dl']
            calls.defines = [asio + '_HAS_STD_ALIGNED_ALLOC=1']
            calls.exelinkflags = ['-Wl,--undefined=greenback_blocking_calls']
            calls.sharedlinkflags = calls.exelinkflags
