# The free segmenter: HRNet-OCR of width 8 with one block where W48 has four, 0.3 M parameters, for crops of 112 px.
_network = dict(type='HRNetOCR', width=8, stem=16, first=1, blocks=1, modules=(1, 1, 1), channels=48, keys=24)
_segmenter = dict(_network, weights='open:hrnet_w8_open')
