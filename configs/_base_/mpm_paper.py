# Training of the paper, section 4.2: AdamW, the rate times 0.97 after every epoch. Batches of 1024 windows are those of
# the release's README. Windows of 243 frames; Human3.6M's are every second frame of 50 per second, as released.

_loading = dict(batch_size=1024, num_workers=4, persistent_workers=True, collate_fn=dict(type='default_collate'))
h36m = dict(
    type='H36MLifting', file='data/h36m/data_3d_h36m.npz',
    keypoints='data/h36m/data_2d_h36m_cpn_ft_h36m_dbb.npz', frames=243)
train_dataloader = dict(**_loading, drop_last=True, sampler=dict(type='DefaultSampler', shuffle=True))
test_dataloader = dict(**_loading, sampler=dict(type='DefaultSampler', shuffle=False))
train_cfg = dict(by_epoch=True)
optim_wrapper = dict(optimizer=dict(type='AdamW'))
param_scheduler = [dict(type='ExponentialLR', gamma=0.97, by_epoch=True)]
