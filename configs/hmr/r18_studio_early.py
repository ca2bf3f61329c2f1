# Second stage of the bundled start model: the whole studio domain, from the weights of r18_plain.py.
# CPU: about 25 minutes on two cores with AVX512-BF16.
_base_ = './r18_plain.py'

load_from = 'work_dirs/r18_plain/epoch_4.pth'
train_dataloader = dict(dataset=dict(domain='studio', length=80_000))
val_dataloader = dict(dataset=dict(domain='studio'))
train_cfg = dict(max_epochs=4)  # 320k views
optim_wrapper = dict(optimizer=dict(lr=6e-4))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=True, T_max=4, eta_min=2e-6, convert_to_iter_based=True)]
