# Row B4 of the paper's Table 5 on the free wild stream: two stages, L_F then L_T.
_base_ = '../r18_wild.py'
adapter = dict(scheme='two-stage', lower=('frame',), upper=('temporal',))
