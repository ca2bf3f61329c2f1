# 3DPW's test set in SPIN's layout, for models that need no 2D keypoints (the file has none): MPJPE and PA-MPJPE as SPIN
# and RSC-Net report them.
_smpl = 'data/body_models/smpl'
dataset = dict(type='SPINFile', file='data/spin/3dpw_test.npz', image_root='data/3dpw', keypoints='none')
evaluator = dict(type='MeshEvaluator', protocol='spin_3dpw',
                 bodies=dict(male=f'{_smpl}/SMPL_MALE.pkl', female=f'{_smpl}/SMPL_FEMALE.pkl'))
