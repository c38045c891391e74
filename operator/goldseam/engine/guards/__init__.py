"""The guards: each a pure check over the situation, one file each; `order` lists them.

A guard that cannot know, waits. Here: reasons not to act now. Not here: what happens then (that is `decide`).
"""
