# 3DHR-Co as published for 3DPW (Lumentut and Lee 2023, sections III and IV.A): SPIN as student, its rates, and the
# teachers by name. Its gaps are filled as configs/3dhrco/README.md says.
_base_ = ['./default_runtime.py', './dynaboa_paper.py', './datasets/threedpw.py']

_dynamic = {{_base_.adapter}}  # "follows the recent setting of the bilevel function of DynaBOA"
_mpn = dict(type='TemporalTeacher', network=dict(type='MPSNet', weights='data/mpsnet/mpsnet_model_best.pth.tar'))
_tcmr = dict(type='TemporalTeacher', network=dict(type='TCMR', weights='data/tcmr/tcmr_table6_3dpw_test.pth.tar'))

estimator = dict(
    _delete_=True, type='HMR', backbone=dict(type='ResNet', depth=50), resolution=224,
    weights='data/spin/model_checkpoint.pt',
    body=dict(type='BodyModel', file='data/body_models/smpl/SMPL_NEUTRAL.pkl',
              extra_regressor='data/spin/J_regressor_extra.npy', h36m_regressor='data/spin/J_regressor_h36m.npy'))
adapter = dict(
    _delete_=True, type='PreAdapt',
    epochs=601,  # "600": checkpoints at 1, 201, 401, 601
    sequences=3, frames=8, lr=1e-5, adam_betas=(0.9, 0.999),
    corruption=dict(type='GaussianNoise', sigma=35.0),  # sigma1; 50 and 65 are the others
    weights=dict(pose=10.0, betas=0.1, camera=1.0, keypoints2d=1.0))  # lambda1 to lambda4
