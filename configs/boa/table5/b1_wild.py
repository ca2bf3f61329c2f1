# Row B1 of the paper's Table 5 on the free wild stream: one stage, L_F.
_base_ = '../r18_wild.py'
adapter = dict(scheme='one-stage', lower=(), upper=('frame',))
