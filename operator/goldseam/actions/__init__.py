"""The actions: one file each, with its plan, how its course is judged, and its declaration.

Here: what to write to bring an action about, and when it has run its course; both pure. Not here: whether it may be
done (that is `goldseam.engine`), and the writing itself (that is `goldseam.services`): every action writes in the same
way.
"""
