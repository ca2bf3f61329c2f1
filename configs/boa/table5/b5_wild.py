# Row B5 of the paper's Table 5 on the free wild stream: two stages, L_F then both.
_base_ = '../r18_wild.py'
adapter = dict(scheme='two-stage', lower=('frame',), upper=('frame', 'temporal'))
