# From partial 2D poses of CPN to complete 3D poses, windows of 27 frames as released. Limbs in pairs and six random
# joints are hidden throughout a window (the released `mask_manner`). `load_from` names the weights of stage I at 27
# frames to start from, which `hrtk train mpm/stage1_h36m` writes with model.network.frames=27,
# train_dataloader.dataset.frames=27 and this work_dir. Training options of the paper's stage II.
_base_ = ['../_base_/train_runtime.py', '../_base_/mpm_paper.py']

load_from = 'work_dirs/stage1_h36m_27/epoch_15.pth'
_windows = dict(_base_.pop('h36m'), frames=27)
model = dict(
    type='CompletionTraining', task='complete2d', network=dict(type='MPMStage1', frames=27, decoder_layers=2),
    parts=['right_leg+left_leg', 'left_arm+right_arm', 'left_leg+left_arm', 'right_leg+right_arm', 6], test=6,
    flip_test=True)
train_dataloader = dict(dataset=_windows)
test_dataloader = dict(dataset=dict(_windows, split='test'))
test_evaluator = dict(type='LiftingEvaluator', protocol='completion2d', metric='correct')
train_cfg = dict(max_epochs=40)
optim_wrapper = dict(optimizer=dict(lr=1.6e-3))
