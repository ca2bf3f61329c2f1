# BOA on the free wild stream with the paper's second-order gradient: about twice the time per frame.
_base_ = './r18_wild.py'

adapter = dict(order='second')
