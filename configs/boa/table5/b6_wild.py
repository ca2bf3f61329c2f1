# Row B6 of the paper's Table 5 on the free wild stream: bilevel, L_F then L_T alone.
_base_ = '../r18_wild.py'
adapter = dict(scheme='bilevel', lower=('frame',), upper=('temporal',))
