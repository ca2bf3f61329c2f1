# Stage II on Human3.6M in the 16 joints of stage1_h36m_amass.py.
_base_ = './stage2_h36m.py'

model = dict(joints='h36m16', network=dict(joints=16, pretrained='work_dirs/stage1_h36m_amass/epoch_15.pth'))
train_dataloader = dict(dataset=dict(joints='h36m16'))
test_dataloader = dict(dataset=dict(joints='h36m16'))
