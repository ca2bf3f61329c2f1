# Row B2 of the paper's Table 5 on the free wild stream: one stage, L_T.
_base_ = '../r18_wild.py'
adapter = dict(scheme='one-stage', lower=(), upper=('temporal',))
