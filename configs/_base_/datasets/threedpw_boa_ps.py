# 3DPW #PS from the files that BOA made of it (one npz per sequence, 49 projected true joints). For the published order
# of the stream list the files in it. The same from the raw data: threedpw.py.
_smpl = 'data/body_models/smpl'
dataset = dict(type='SPINFile', file='data/boa/3dpw_vid/*.npz', image_root='data/3dpw', keypoints='gt')
evaluator = dict(type='MeshEvaluator', protocol='boa_ps',
                 bodies=dict(male=f'{_smpl}/SMPL_MALE.pkl', female=f'{_smpl}/SMPL_FEMALE.pkl'))
