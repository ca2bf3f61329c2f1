# S -> R as in s_to_r_3dpw.py, evaluated on Human3.6M, protocol 2.
_base_ = './s_to_r_3dpw.py'

dataset = dict(
    _delete_=True, type='SPINFile', file='data/spin/h36m_valid_protocol2.npz', image_root='data/h36m',
    keypoints='none', fps=10.0)
evaluator = dict(_delete_=True, type='MeshEvaluator', protocol='h36m_p2')
