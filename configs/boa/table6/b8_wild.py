# Row B8 of the paper's Table 6 on the free wild stream: without the mean teacher.
_base_ = '../r18_wild.py'
adapter = dict(weights=dict(teacher=0.0))
