# 3DPW's test set as HMMR processed it (#PH of BOA): other frames, and bodies fitted with the neutral model. BOA's
# authors distribute neither this file nor a script for it; make one in SPIN's layout from HMMR's records.
dataset = dict(type='SPINFile', file='data/boa/3dpw_ph.npz', image_root='data/3dpw', keypoints='gt')
evaluator = dict(type='MeshEvaluator', protocol='boa_ph')
