"""Hand out, grade and give back assignments, on nbgrader's formats and gradebook.

Whoever grades a program runs a stranger's program. Here the student's notebook runs in a process that sees the network,
the answer key, the gradebook and the other students as little as it sees the moon (`room/`); and the tests run in
another one, which the student's program cannot reach (`grader`). Between the two only values pass: numbers, texts,
tensors, and calls of functions (`room/wire`). So no test can be read, edited or fooled by what it tests.

The room imports nothing of flowlib: assignments do, and what they ask for stands in their cells.
"""
