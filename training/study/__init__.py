"""The paper's comparisons on one's own data: ``ripe-train study CONFIG``.

A study trains several networks ("arms") on one data set and measures them on the same held-out windows, so that every
difference is paired: task by task, window by window.
"""
