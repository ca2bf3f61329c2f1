# Row B7 of the paper's Table 6 on the free wild stream: without the motion term.
_base_ = '../r18_wild.py'
adapter = dict(weights=dict(motion=0.0))
