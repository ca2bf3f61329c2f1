# Stage I on Human3.6M, MPI-INF-3DHP and AMASS, in their 16 common joints: the paper's pre-training for 3DHP (section
# 4.2, "Large" in Table E). 2D joints are the true ones, as in Table 2.
_base_ = './stage1_h36m.py'

model = dict(joints='h36m16', network=dict(joints=16))
train_dataloader = dict(dataset=dict(
    _delete_=True, type='MixedDataset', common=dict(frames=243),
    parts=[
        dict(
            type='H36MLifting', file='data/h36m/data_3d_h36m.npz', keypoints='data/h36m/data_2d_h36m_gt.npz',
            joints='h36m16'),
        dict(type='MPIINF3DHPLifting', file='data/3dhp/data_train_3dhp.npz', joints='h36m16'),
        dict(type='AMASSLifting', file='data/amass/amass.npz')]))
