# SPDX-License-Identifier: MIT
"""Asio and Boost as the system has them, under the names that greenback's recipe asks for:

    conan create cmake/packages/conan/system --name asio --version 1.22.1
    conan create cmake/packages/conan/system --name boost --version 1.81.0

So greenback's recipe can be tried where no other recipes are to be had. Headers and libraries are where the compiler
finds them by itself.
"""

from conan import ConanFile


class SystemConan(ConanFile):
    license = 'BSL-1.0'
    package_type = 'shared-library'
    settings = 'os', 'arch'

    def package_info(self):
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []
        self.cpp_info.includedirs = ['/usr/include']
        if self.name == 'boost':
            self.cpp_info.set_property('cmake_file_name', 'Boost')
            headers = self.cpp_info.components['headers']
            headers.set_property('cmake_target_name', 'Boost::headers')
            headers.libdirs = headers.bindirs = []
            headers.includedirs = []
            context = self.cpp_info.components['context']
            context.set_property('cmake_target_name', 'Boost::context')
            context.requires = ['headers']
            context.libdirs = context.bindirs = []
            context.includedirs = []
            context.system_libs = ['boost_context']
