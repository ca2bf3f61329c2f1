# Human3.6M, S9 and S11, the frontal camera alone, every fifth frame (SPIN's protocol 2).
_base_ = './h36m_p1.py'
dataset = dict(file='data/spin/h36m_valid_protocol2.npz')
evaluator = dict(protocol='h36m_p2')
