# Human3.6M, S9 and S11, all cameras, every fifth frame (SPIN's protocol 1). The file has 3D joints and no 2D keypoints.
dataset = dict(type='SPINFile', file='data/spin/h36m_valid_protocol1.npz', image_root='data/h36m', keypoints='none',
               fps=10.0)
evaluator = dict(type='MeshEvaluator', protocol='h36m_p1')
