# Stage I on Human3.6M and AMASS, in the 16 joints that both have: the paper's pre-training for Human3.6M ("we exclude
# 3DHP", section 4.2). Every window is drawn once per epoch.
_base_ = './stage1_h36m.py'

model = dict(joints='h36m16', network=dict(joints=16))
train_dataloader = dict(dataset=dict(
    _delete_=True, type='MixedDataset', common=dict(frames=243),
    parts=[
        dict(
            type='H36MLifting', file='data/h36m/data_3d_h36m.npz',
            keypoints='data/h36m/data_2d_h36m_cpn_ft_h36m_dbb.npz', joints='h36m16'),
        dict(type='AMASSLifting', file='data/amass/amass.npz')]))
