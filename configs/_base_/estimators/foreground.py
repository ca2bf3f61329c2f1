# The arguments that turn an HMR network into a network with foreground features: the free segmenter (HRNet-OCR of width
# 8 with one block where W48 has four, 0.3 M parameters, for crops of 112 px) and a small network for its map.
foreground = dict(
    type='ForegroundHMR', fusion='gate', start='open:r18_studio',
    segmenter=dict(type='HRNetOCR', width=8, stem=16, first=1, blocks=1, modules=(1, 1, 1), channels=48, keys=24,
                   weights='open:hrnet_w8_open'),
    reducer=dict(type='ResNet', depth=18, width=16), frozen=('backbone',))
