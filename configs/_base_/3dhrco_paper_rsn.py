# The same with RSC-Net ("RSN") as student; the teachers' image features stay SPIN's, with which they were trained.
_base_ = './3dhrco_paper.py'

_mpn = dict(features={{_base_.estimator}})
_tcmr = dict(features={{_base_.estimator}})
estimator = dict(
    _delete_=True, type='RSCNet', weights='data/rsc_net/RSC-Net.pt',
    body=dict(type='BodyModel', file='data/body_models/smpl/SMPL_NEUTRAL.pkl',
              extra_regressor='data/spin/J_regressor_extra.npy', h36m_regressor='data/spin/J_regressor_h36m.npy'))
