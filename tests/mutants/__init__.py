"""Mutation tests of the pure core: small faults are put into it one by one, and the tests must notice.

The faults are cosmic-ray's. They are run here and not by its own command, which rewrites the source files, and starts
an interpreter and every test for each of them. No file is changed: a forked process reads the faulty module instead.
"""
