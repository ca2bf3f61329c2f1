# 3DPW's test set as its owners distribute it (#PS of BOA: its own annotations, frames with an aligned camera, gendered
# truth). The 2D keypoints are projections of the ground truth, as in the published numbers of BOA, DynaBOA and 3DHR-Co.
# Order of the sequences: that of the scripts of BOA and DynaBOA. Crops: BOA's, 1.2 times the extent of the keypoints.
_bodies = dict(
    male='data/body_models/smpl/SMPL_MALE.pkl', female='data/body_models/smpl/SMPL_FEMALE.pkl',
    extra_regressor='data/spin/J_regressor_extra.npy', h36m_regressor='data/spin/J_regressor_h36m.npy')
dataset = dict(type='ThreeDPW', root='data/3dpw', split='test', keypoints='gt', order='boa', bodies=_bodies)
evaluator = dict(type='MeshEvaluator', protocol='boa_ps', bodies=_bodies)
