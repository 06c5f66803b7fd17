#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Looks at the built site in build/site with Chromium, as a reader does.

    docs/site/browser_test.py                       tests every page
    docs/site/browser_test.py --pictures FOLDER     … and takes pictures of the main pages

Every page is served with status 200, has a heading, shows every image, writes nothing to the console, asks no other host
for anything, and is no wider than the window, in each scheme and at each width. The search finds `await_`.
"""

import argparse
import functools
import http.server
import json
import os
import sys
import tempfile
import threading
import urllib.parse

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SITE = os.path.join(ROOT, 'build', 'site')
WIDTHS = (360, 768, 1400)
SCHEMES = ('light', 'dark')
SECONDS = 60  # for one page, on a busy machine
PICTURES = ('index', 'guide', 'how-it-works', 'pitfalls', 'reference', 'benchmarks', 'reference/await_for')
ARGUMENTS = ('--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
             '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage',
             '--hide-scrollbars', '--force-device-scale-factor=1')


class Server(http.server.ThreadingHTTPServer):
    """Serves the site on a free port of this machine, and remembers each answer."""

    def __init__(self):
        self.answers = []
        super().__init__(('127.0.0.1', 0), functools.partial(Handler, directory=SITE))
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):  # the browser has gone on to another page
            super().handle_error(request, client_address)

    def address(self, path):
        return f'http://127.0.0.1:{self.server_port}/{path}'


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_request(self, code='-', size='-'):
        self.server.answers.append((urllib.parse.urlsplit(self.path).path.lstrip('/'), int(code)))

    def end_headers(self):
        self.send_header('Cache-Control', 'no-store')  # each page is asked for, however often it was seen
        super().end_headers()

    def log_message(self, format, *args):
        pass


def start_browser(profile):
    options = webdriver.ChromeOptions()
    options.binary_location = '/usr/bin/chromium'
    for argument in (*ARGUMENTS, f'--user-data-dir={profile}'):
        options.add_argument(argument)
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'})
    browser = webdriver.Chrome(service=Service('/usr/bin/chromedriver'), options=options)
    browser.set_page_load_timeout(SECONDS)
    return browser


class Test:
    def __init__(self, server, browser):
        self.server, self.browser, self.wrong, self.checks = server, browser, [], 0

    def expect(self, condition, text):
        self.checks += 1
        if not condition:
            self.wrong.append(text)

    def show(self, scheme, width):
        self.browser.execute_cdp_cmd('Emulation.setEmulatedMedia',
                                     {'features': [{'name': 'prefers-color-scheme', 'value': scheme}]})
        self.browser.execute_cdp_cmd('Emulation.setDeviceMetricsOverride',
                                     {'width': width, 'height': 900, 'deviceScaleFactor': 1, 'mobile': False})

    def load(self, path):
        del self.server.answers[:]
        self.browser.get(self.server.address(path))

    def logs(self, path):
        """The console is silent, and nobody but this machine was asked, for anything that isn't there."""
        for entry in self.browser.get_log('browser'):
            self.expect(False, f'{path}: the console says: {entry["level"]} {entry["message"]}')
        for entry in self.browser.get_log('performance'):
            message = json.loads(entry['message'])['message']
            if message['method'] == 'Network.requestWillBeSent':
                url = message['params']['request']['url']
                self.expect(url.startswith((self.server.address(''), 'data:')), f'{path}: asks for {url}')
        for answer, code in list(self.server.answers):
            self.expect(code in (200, 304), f'{path}: {answer} was answered with {code}')

    def page(self, path):
        self.show('light', WIDTHS[-1])
        self.load('search.html?q=portal' if path == 'search.html' else path)  # Sphinx has no heading there before
        self.expect((path, 200) in self.server.answers, f'{path}: not served with status 200')
        heading = self.browser.execute_script(
            'const h = document.querySelector("h1, #search-results h2"); return h ? h.innerText : ""')
        self.expect(heading.strip(), f'{path}: no heading')
        backgrounds = set()
        for scheme in SCHEMES:
            for width in WIDTHS:
                self.show(scheme, width)
                seen = self.browser.execute_async_script(LOOK, SECONDS * 1000)
                at = f'{path}, {scheme}, {width} px'
                self.expect(seen['window'] == width, f'{at}: the window has {seen["window"]} px')
                self.expect(seen['page'] <= width, f'{at}: {seen["page"]} px wide: {seen["wide"]}')
                self.expect(not seen['broken'], f'{at}: images that are not shown: {seen["broken"]}')
                self.expect(not seen['faint'], f'{at}: too little contrast: {seen["faint"]}')
                backgrounds.add((scheme, seen['background']))
        self.expect(len({colour for _, colour in backgrounds}) == 2, f'{path}: light and dark are {backgrounds}')
        self.logs(path)

    def search(self, query):
        """The first hit's page holds what was searched for."""
        path = f'search.html?q={urllib.parse.quote(query)}'
        self.show('light', WIDTHS[-1])
        self.load(path)
        WebDriverWait(self.browser, SECONDS).until(
            lambda browser: browser.find_elements(By.CSS_SELECTOR, '#search-results ul.search li a'),
            f'the search for {query} finds nothing')
        WebDriverWait(self.browser, SECONDS).until(
            lambda browser: 'page' in browser.find_element(By.CSS_SELECTOR, '#search-results p').text.lower())
        hits = [hit.get_attribute('href')
                for hit in self.browser.find_elements(By.CSS_SELECTOR, '#search-results ul.search li a')]
        self.logs(path)
        self.browser.get(hits[0])
        text = self.browser.execute_script('return document.querySelector("article").innerText')
        self.expect(query in text, f'the first hit for {query}, {hits[0]}, does not hold it')
        self.logs(hits[0])
        return [urllib.parse.urlsplit(hit).path.lstrip('/') for hit in hits]

    def picture(self, path, scheme, width, folder):
        self.show(scheme, width)
        self.load(path)
        height = min(4000, self.browser.execute_script('return document.documentElement.scrollHeight'))
        self.browser.execute_cdp_cmd('Emulation.setDeviceMetricsOverride',
                                     {'width': width, 'height': height, 'deviceScaleFactor': 1, 'mobile': False})
        name = f'{path.removesuffix(".html").replace("/", "_")}-{scheme}-{width}.png'
        self.browser.save_screenshot(os.path.join(folder, name))


# What a reader would see: the page's width, what sticks out of it, images that are not shown, text that can't be read.
LOOK = '''
const [milliseconds, done] = arguments;
const settled = Promise.all(Array.from(document.images, image => {
    image.loading = 'eager';
    return image.complete ? null : new Promise(ready => { image.onload = image.onerror = ready; });
}));
Promise.race([settled, new Promise(over => setTimeout(over, milliseconds))]).then(
    () => requestAnimationFrame(() => setTimeout(() => {
    const width = document.documentElement.clientWidth;
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    function rgba(colour) {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return Array.from(canvas.getImageData(0, 0, 1, 1).data);
    }
    function luminance(colour) {
        const [r, g, b] = colour.slice(0, 3).map(
            c => (c /= 255) <= 0.03928 ? c / 12.92 : Math.pow((c + 0.055) / 1.055, 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    }
    function behind(element) {
        for (; element; element = element.parentElement) {
            const colour = rgba(getComputedStyle(element).backgroundColor);
            if (colour[3] === 255) return colour;
        }
        return [255, 255, 255, 255];
    }
    const faint = new Map();
    const texts = document.createTreeWalker(document.querySelector('article') || document.body, NodeFilter.SHOW_TEXT);
    const known = new Map();
    while (texts.nextNode()) {
        const element = texts.currentNode.parentElement;
        if (!texts.currentNode.data.trim() || !element.checkVisibility() || element.closest('.headerlink, script, style'))
            continue;
        const background = behind(element), colour = getComputedStyle(element).color, key = colour + background;
        if (!known.has(key)) {
            const [a, b] = [luminance(rgba(colour)), luminance(background)];
            known.set(key, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
        }
        if (known.get(key) < 4.5 && !faint.has(key))
            faint.set(key, `${texts.currentNode.data.trim().slice(0, 20)} (${element.className}, ${colour} on ` +
                           `${background.slice(0, 3)}: ${known.get(key).toFixed(2)})`);
    }
    done({
        window: width,
        page: Math.max(document.documentElement.scrollWidth, document.body.scrollWidth),
        wide: document.documentElement.scrollWidth <= width ? '' :
            Array.from(document.querySelectorAll('article *')).filter(
                e => e.getBoundingClientRect().right > width + 1 && !e.closest('pre, .table-wrapper')).slice(0, 3)
                .map(e => e.outerHTML.slice(0, 120)).join(' | '),
        broken: Array.from(document.images).filter(i => !i.complete || i.naturalWidth === 0).map(i => i.src).join(' '),
        faint: Array.from(faint.values()).join('; '),
        background: getComputedStyle(document.body).backgroundColor,
    });
}, 0)));
'''


def pages():
    found = []
    for folder, _, names in os.walk(SITE):
        if '_static' not in folder:
            found += [os.path.relpath(os.path.join(folder, name), SITE) for name in names if name.endswith('.html')]
    return sorted(found)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    arguments.add_argument('--pictures', metavar='FOLDER', help='take pictures of the main pages')
    arguments.add_argument('--only', metavar='PAGE', nargs='*', help='test these pages, and no search')
    options = arguments.parse_args()

    with tempfile.TemporaryDirectory() as profile:
        server = Server()
        browser = start_browser(profile)
        try:
            test = Test(server, browser)
            browser.get('about:blank')
            browser.get_log('performance')  # what the browser loads of itself when it starts
            todo = pages() if options.only is None else options.only
            for path in todo:
                test.page(path)
            if options.only is None:
                hits = test.search('await_')
                wanted = 'reference/await_.html'
                if wanted in todo:
                    test.expect(hits[0] == wanted, f'the first hit for await_ is {hits[0]}, not {wanted}')
            if options.pictures:
                os.makedirs(options.pictures, exist_ok=True)
                for name in PICTURES:
                    if f'{name}.html' in pages():
                        for scheme in SCHEMES:
                            for width in (WIDTHS[0], WIDTHS[-1]):
                                test.picture(f'{name}.html', scheme, width, options.pictures)
        finally:
            browser.quit()
            server.shutdown()
    print(*dict.fromkeys(test.wrong), sep='\n', end='\n' if test.wrong else '')
    print(f'{len(todo)} pages, {test.checks} checks, {len(test.wrong)} failed')
    return 1 if test.wrong or not todo else 0


if __name__ == '__main__':
    sys.exit(main())
