"""Loads a module that is written in Rust with attributes, and calls it on several threads."""

import importlib.machinery
import importlib.util
import sys
import threading

loader = importlib.machinery.ExtensionFileLoader("monitor_test_python", sys.argv[1])
module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
loader.exec_module(module)


def night():
    header = module.traceparent()
    results = []
    threads = [threading.Thread(target=lambda text=text: results.append(module.work(text, header))) for text in ("aa", "bbbb")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(sorted(results), module.calls_back(module.square))
    try:
        module.handle("nonsense")
    except ValueError as error:
        print("ValueError:", error)


module.night(night)
