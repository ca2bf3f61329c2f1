# Second stage of the small HMR2: the same views at a lower rate, which decays. docs/en/hmr2.md lists what was tried.
_base_ = './small_studio_early.py'

load_from = 'work_dirs/small_studio_early/epoch_5.pth'
train_cfg = dict(max_epochs=6)
optim_wrapper = dict(optimizer=dict(lr=3e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=30),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=6, end=6, eta_min=2e-6, convert_to_iter_based=True)]
