# Last stage of the bundled start model: a warm restart on other views of the studio.
# CPU: about 40 minutes on two cores with AVX512-BF16.
_base_ = './r18_studio_early.py'

load_from = 'work_dirs/r18_studio_early/epoch_4.pth'
train_dataloader = dict(dataset=dict(length=120_000, seed=2))  # 480k views
